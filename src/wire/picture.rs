//! The course of an alert's value as a picture: threshold, where it began to fire, where it ended.
//!
//! A PNG, because mail programs of the largest providers drop SVG. Few colours and no smoothing keep it
//! at a few kilobytes; it is drawn at twice the size at which it is shown, so that it is sharp on every
//! screen. What it shows stands in words beside it, so that nothing is lost where pictures are blocked.

use embedded_graphics::mono_font::iso_8859_1::{FONT_9X18, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Gray8, GrayColor as _};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

use crate::engine::event::{AlertEvent, AlertState};
use crate::model::trend::Point as Value;
use crate::model::{Span, Timestamp, Trend};

/// Width of a picture as it is shown, in pixels.
pub const WIDTH: u32 = 560;
/// Its height.
pub const HEIGHT: u32 = 200;
/// How many drawn pixels become one shown pixel.
const SCALE: u32 = 2;
/// Where the values are drawn.
const LEFT: i32 = 130;
const RIGHT: i32 = (WIDTH * SCALE) as i32 - 30;
const TOP: i32 = 40;
const BOTTOM: i32 = (HEIGHT * SCALE) as i32 - 40;

/// The colours; their place is what is drawn.
const PALETTE: [[u8; 3]; 7] = [
    [0xff, 0xff, 0xff],
    [0xe4, 0xe7, 0xeb],
    [0x61, 0x6e, 0x7c],
    [0x8f, 0xb3, 0xe0],
    [0x1f, 0x4e, 0x8c],
    [0xc6, 0x28, 0x28],
    [0x2e, 0x7d, 0x32],
];
const FRAME: Gray8 = Gray8::new(1);
const INK: Gray8 = Gray8::new(2);
const SLICE: Gray8 = Gray8::new(3);
const VALUE: Gray8 = Gray8::new(4);
const ALARM: Gray8 = Gray8::new(5);
const CALM: Gray8 = Gray8::new(6);

/// The picture of an alert as a PNG; `None` when there is too little to see.
pub fn png(event: &AlertEvent) -> Option<Vec<u8>> {
    let frame = Frame::of(event)?;
    let mut canvas = Canvas { pixels: vec![0; (WIDTH * HEIGHT * SCALE * SCALE) as usize] };
    frame.draw(event, &mut canvas);
    Some(canvas.pack())
}

/// The course in one line of text.
pub fn sparkline(event: &AlertEvent) -> Option<String> {
    Frame::of(event).map(|frame| spark(&frame.trend.points().map(|(_, value)| *value).collect::<Vec<_>>()))
}

/// What the picture says, for those who do not see it: `2% to 23% from 10:25:00 to 10:31:00 UTC`.
pub fn words(event: &AlertEvent) -> Option<String> {
    let frame = Frame::of(event)?;
    let values: Vec<f64> = frame.trend.points().map(|(_, value)| *value).collect();
    let (low, high) = bounds(&values);
    let slices = match frame.trend.slices.is_empty() {
        true => String::new(),
        false if frame.trend.adds_up => format!("; bars: how the window of {} filled up before it fired", event.window),
        false => format!("; bars: each {} before it fired, line: window of {}", frame.trend.slice, event.window),
    };
    let (from, to) = (frame.clock(frame.from), frame.clock(frame.to));
    let (low, high) = (event.unit.show(low), event.unit.show(high));
    Some(format!("{low} to {high} from {from} to {to} UTC{slices}"))
}

fn spark(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const MOST: usize = 30;
    let (low, high) = bounds(values);
    // Of many values, the largest of each handful.
    let handfuls = values.chunks(values.len().div_ceil(MOST).max(1));
    let heights = handfuls.map(|handful| bounds(handful).1);
    let bar = |height: f64| BARS[((height - low) / (high - low).max(f64::MIN_POSITIVE) * 7.0).round() as usize];
    heights.map(bar).collect()
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
}

/// What is seen: stretches of time and of values.
struct Frame<'a> {
    trend: &'a Trend,
    from: Timestamp,
    to: Timestamp,
    low: f64,
    high: f64,
}

impl Frame<'_> {
    fn of(event: &AlertEvent) -> Option<Frame<'_>> {
        let trend = event.trend.as_deref()?;
        if trend.points().count() < 2 {
            return None;
        }
        let begin = |at: Timestamp| if trend.slices.is_empty() { at } else { Timestamp(at.0 - trend.slice.0) };
        let from = trend.points().map(|(at, _)| *at).min().map(begin)?;
        let to = trend.points().map(|(at, _)| *at).max()?.max(event.at);
        let values: Vec<f64> = trend.points().map(|(_, value)| *value).chain(event.threshold).collect();
        let (low, high) = bounds(&values);
        if to <= from || !(high - low).is_finite() {
            return None;
        }
        // Zero belongs into the picture unless the values lie far from it.
        let (low, high) = match (low, high) {
            _ if low >= 0.0 && low < high / 2.0 => (0.0, high),
            _ if high <= 0.0 && high > low / 2.0 => (low, 0.0),
            _ => (low, high),
        };
        let room = if high > low { (high - low) * 0.1 } else { high.abs().max(1.0) * 0.5 };
        let low = if low == 0.0 { 0.0 } else { low - room };
        Some(Frame { trend, from, to, low, high: high + room })
    }

    fn x(&self, at: Timestamp) -> i32 {
        let share = at.since(self.from).0 as f64 / self.to.since(self.from).0 as f64;
        LEFT + (share.clamp(0.0, 1.0) * f64::from(RIGHT - LEFT)).round() as i32
    }

    fn y(&self, value: f64) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        BOTTOM - (share.clamp(0.0, 1.0) * f64::from(BOTTOM - TOP)).round() as i32
    }

    /// Three to six round values.
    fn ticks(&self) -> Vec<f64> {
        let room = (self.high - self.low) / 4.0;
        let power = 10f64.powi(room.log10().floor() as i32);
        let step = [1.0, 2.0, 2.5, 5.0].map(|digit| digit * power).into_iter().find(|step| *step >= room);
        let step = step.unwrap_or(10.0 * power);
        let first = (self.low / step).ceil();
        (0..6).map(|n| (first + f64::from(n)) * step).take_while(|value| *value <= self.high).collect()
    }

    /// An instant as it is written below the picture: no finer than can be told apart.
    fn clock(&self, at: Timestamp) -> String {
        let text = at.to_rfc3339();
        let part = match self.to.since(self.from) {
            span if span < Span::hours(1) => text.get(11..19),
            span if span < Span::days(1) => text.get(11..16),
            _ => text.get(5..16),
        };
        part.unwrap_or(&text).replace('T', " ")
    }

    fn draw(&self, event: &AlertEvent, canvas: &mut Canvas) {
        let grid = PrimitiveStyle::with_stroke(FRAME, 2);
        for value in self.ticks() {
            let y = self.y(value);
            canvas.line((LEFT, y), (RIGHT, y), grid);
            canvas.text((LEFT - 12, y), &event.unit.show(value), &FONT_9X18, INK, Alignment::Right);
        }
        let below = BOTTOM + 20;
        canvas.text((LEFT, below), &self.clock(self.from), &FONT_9X18, INK, Alignment::Left);
        canvas.text((RIGHT, below), &format!("{} UTC", self.clock(self.to)), &FONT_9X18, INK, Alignment::Right);
        for (at, value) in &self.trend.slices {
            let (left, right) = (self.x(Timestamp(at.0 - self.trend.slice.0)), self.x(*at));
            let y = self.y(*value);
            canvas.block((left + 1, y), (right - 1, BOTTOM), FRAME);
            canvas.line((left + 1, y), (right - 1, y), PrimitiveStyle::with_stroke(SLICE, 5));
        }
        self.draw_values(&self.trend.values, canvas);
        if let Some(threshold) = event.threshold {
            let (y, style) = (self.y(threshold), PrimitiveStyle::with_stroke(ALARM, 2));
            (LEFT..RIGHT).step_by(16).for_each(|x| canvas.line((x, y), ((x + 9).min(RIGHT), y), style));
            let label = format!("threshold {}", event.unit.show(threshold));
            canvas.text((LEFT + 6, y - 12), &label, &FONT_9X18, ALARM, Alignment::Left);
        }
        if let Some(fired) = event.fired_at.filter(|fired| *fired >= self.from) {
            self.draw_mark(fired, "firing", ALARM, canvas);
        }
        if event.state == AlertState::Resolved {
            self.draw_mark(event.at, "resolved", CALM, canvas);
        }
    }

    /// A value holds until the next one, or until the end.
    fn draw_values(&self, values: &[Value], canvas: &mut Canvas) {
        let style = PrimitiveStyle::with_stroke(VALUE, 4);
        for (index, (at, value)) in values.iter().enumerate() {
            let (x, y) = (self.x(*at), self.y(*value));
            let next = values.get(index + 1);
            let end = self.x(next.map_or(self.to, |(at, _)| *at));
            canvas.line((x, y), (end, y), style);
            if let Some((_, following)) = next {
                canvas.line((end, y), (end, self.y(*following)), style);
            }
            canvas.block((x - 4, y - 4), (x + 4, y + 4), VALUE);
        }
    }

    fn draw_mark(&self, at: Timestamp, word: &str, colour: Gray8, canvas: &mut Canvas) {
        let x = self.x(at);
        canvas.line((x, TOP - 8), (x, BOTTOM), PrimitiveStyle::with_stroke(colour, 2));
        canvas.block((x - 5, TOP - 12), (x + 5, TOP - 2), colour);
        let (label, width) = (format!("{word} {}", self.clock(at)), 10 * (word.len() as i32 + 9));
        let alignment = if x + width > RIGHT { Alignment::Right } else { Alignment::Left };
        let aside = if alignment == Alignment::Right { -12 } else { 12 };
        // Two marks that lie close together are told at two heights.
        let y = if colour == CALM { TOP - 24 } else { TOP - 6 };
        canvas.text((x + aside, y), &label, &FONT_10X20, colour, alignment);
    }
}

/// Places in [`PALETTE`], row by row.
struct Canvas {
    pixels: Vec<u8>,
}

impl Canvas {
    fn line(&mut self, from: (i32, i32), to: (i32, i32), style: PrimitiveStyle<Gray8>) {
        let Ok(()) = Line::new(from.into(), to.into()).into_styled(style).draw(self);
    }

    /// Everything between two corners.
    fn block(&mut self, from: (i32, i32), to: (i32, i32), colour: Gray8) {
        let corners = Rectangle::with_corners(from.into(), to.into());
        let Ok(()) = corners.into_styled(PrimitiveStyle::with_fill(colour)).draw(self);
    }

    fn text(&mut self, at: (i32, i32), text: &str, font: &MonoFont<'_>, colour: Gray8, alignment: Alignment) {
        let layout = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Middle).build();
        let letters = MonoTextStyle::new(font, colour);
        let Ok(_) = Text::with_text_style(text, at.into(), letters, layout).draw(self);
    }

    fn pack(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, WIDTH * SCALE, HEIGHT * SCALE);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Four);
        encoder.set_palette(PALETTE.as_flattened());
        encoder.set_compression(png::Compression::High);
        let packed: Vec<u8> = self.pixels.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&packed));
        written.expect("memory takes a picture of the size that was named");
        file
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(WIDTH * SCALE, HEIGHT * SCALE)
    }
}

impl DrawTarget for Canvas {
    type Color = Gray8;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Gray8>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        let (width, height) = ((WIDTH * SCALE) as i32, (HEIGHT * SCALE) as i32);
        for Pixel(Point { x, y }, colour) in pixels {
            if (0..width).contains(&x) && (0..height).contains(&y) {
                self.pixels[(y * width + x) as usize] = colour.luma();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::notice::tests::event;

    fn with(trend: Trend) -> AlertEvent {
        AlertEvent { trend: Some(Box::new(trend)), ..event("error_rate > 10%", AlertState::Resolved) }
    }

    /// Slices of 15 s before the alert fired, then values of its window.
    fn course() -> AlertEvent {
        let fired = event("error_rate > 10%", AlertState::Firing).fired_at.expect("fired");
        let slices = (0..20).map(|i| (Timestamp(fired.0 - (20 - i) * 15_000), 0.02 * (i / 3) as f64)).collect();
        let values = [0.11, 0.17, 0.23, 0.21, 0.09].iter().enumerate();
        let values = values.map(|(i, value)| (Timestamp(fired.0 + 15_000 * i as i64), *value)).collect();
        with(Trend { slices, slice: Span::seconds(15), adds_up: false, values })
    }

    #[test]
    fn a_picture_is_a_small_png_that_shows_threshold_and_marks() {
        let event = course();
        let file = png(&event).expect("a picture");
        assert!(file.len() < 8_192, "{} bytes", file.len());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a PNG");
        assert_eq!((reader.info().width, reader.info().height), (WIDTH * SCALE, HEIGHT * SCALE));
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("whole");
        let at = |x: i32, y: i32| {
            let place = (y as usize * (WIDTH * SCALE) as usize) + x as usize;
            (pixels[place / 2] >> if x % 2 == 0 { 4 } else { 0 }) & 15
        };
        let frame = Frame::of(&event).expect("a frame");
        let threshold = frame.y(0.1);
        assert_eq!(at(LEFT + 2, threshold), ALARM.luma(), "the threshold line");
        let fired = frame.x(event.fired_at.expect("fired"));
        assert_eq!(at(fired, BOTTOM - 30), ALARM.luma(), "where it began to fire");
        assert_eq!(at(frame.x(event.at), BOTTOM - 30), CALM.luma(), "where it ended");
        assert_eq!(png(&event), Some(file), "the same again");
    }

    #[test]
    fn words_say_what_the_picture_shows() {
        let words = words(&course()).expect("words");
        let bars = "bars: each 15s before it fired, line: window of 5m";
        assert_eq!(words, format!("0% to 23% from 10:25:30 to 10:31:45 UTC; {bars}"));
        assert_eq!(sparkline(&course()).as_deref(), Some("▁▁▁▂▂▂▂▂▂▃▃▃▃▃▃▄▄▄▅▅▄▆█▇▄"));
    }

    #[test]
    fn hostile_courses_are_drawn_or_left_out() {
        let points = |values: &[(i64, f64)]| values.iter().map(|(at, v)| (Timestamp(*at), *v)).collect::<Vec<_>>();
        for (values, drawn) in [
            (vec![], false),
            (vec![(0, 1.0)], false),
            (vec![(0, 5.0), (1_000, 5.0)], true),
            (vec![(0, -5.0), (1_000, -4.0)], true),
            (vec![(0, 1e300), (1_000, -1e300)], true),
            (vec![(0, f64::MAX), (1_000, f64::MIN)], false),
            (vec![(0, 1e-300), (1_000, 0.0)], true),
            (vec![(i64::MIN / 4, 1.0), (i64::MAX / 4, 2.0)], true),
        ] {
            let event = with(Trend { values: points(&values), ..Trend::default() });
            assert_eq!(png(&event).is_some(), drawn, "{values:?}");
            assert_eq!(words(&event).is_some(), drawn, "{values:?}");
        }
        assert!(png(&event("error_rate > 10%", AlertState::Firing)).is_none(), "no course");
    }
}
