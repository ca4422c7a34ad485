//! A made-up fleet and the executions it logs, the same for the same plan on every machine.
//!
//! The lines have the keys of claude-force in its order, then the optional ones. Failures are written
//! as such writers do: tokens and cost zero, a class of error. Runs that hang or outlast their limit
//! are cut off there, so their true duration never reaches the file.

use std::io::{self, Write};

use evenkeel::model::{Span, Timestamp};

/// What is generated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Agents; beyond the nine of [`ROLES`] further ones of the same roles with other paces.
    pub agents: usize,
    /// Lines.
    pub records: u64,
    /// Everything random follows from it.
    pub seed: u64,
    /// Time of the first line, about.
    pub start: Timestamp,
    /// From the first line to the last.
    pub span: Span,
    /// Whether things go wrong near the end: `bug-hunter` fails in a storm of retries during the
    /// last 12 minutes, the prompts of `planner` are ten times as long in the last 90.
    pub incidents: bool,
}

/// How one kind of agent works.
struct Role {
    name: &'static str,
    model: &'static str,
    /// USD per million input and output tokens.
    price: (f64, f64),
    /// Share of the fleet's runs, relative to the others.
    share: f64,
    tasks: [&'static str; 2],
    median_s: f64,
    /// Deviation of the logarithm of the duration.
    spread: f64,
    limit_s: f64,
    /// Share of runs that never end by themselves.
    hung: f64,
    success: f64,
    quality: f64,
    /// Median input and output tokens.
    tokens: (f64, f64),
}

const HAIKU: (&str, (f64, f64)) = ("claude-haiku-4-5-20251001", (1.0, 5.0));
const SONNET: (&str, (f64, f64)) = ("claude-sonnet-4-5-20250929", (3.0, 15.0));
const OPUS: (&str, (f64, f64)) = ("claude-opus-4-1-20250805", (15.0, 75.0));

#[allow(clippy::too_many_arguments, reason = "a table reads better in rows")]
const fn role(
    name: &'static str,
    (model, price): (&'static str, (f64, f64)),
    share: f64,
    tasks: [&'static str; 2],
    (median_s, spread, limit_s): (f64, f64, f64),
    (hung, success, quality): (f64, f64, f64),
    tokens: (f64, f64),
) -> Role {
    Role { name, model, price, share, tasks, median_s, spread, limit_s, hung, success, quality, tokens }
}

const ROLES: [Role; 9] = [
    role("code-reviewer", SONNET, 16.0, ["review", "implement"], (20.0, 0.5, 120.0), (0.003, 0.93, 84.0), (9e3, 900.0)),
    role("python-expert", SONNET, 16.0, ["implement", "review"], (30.0, 0.6, 180.0), (0.003, 0.92, 82.0), (7e3, 2e3)),
    // Cheap and good.
    role("test-writer", HAIKU, 15.0, ["implement", "review"], (14.0, 0.4, 120.0), (0.002, 0.98, 90.0), (4e3, 1.5e3)),
    role("bug-hunter", SONNET, 11.0, ["implement", "review"], (35.0, 0.6, 240.0), (0.004, 0.91, 81.0), (1.1e4, 1.2e3)),
    // Quick when all is well, but one run in twenty-five hangs until a limit that is far too long.
    role("doc-writer", HAIKU, 13.0, ["document", "review"], (8.0, 0.5, 600.0), (0.04, 0.95, 85.0), (3e3, 1.2e3)),
    // Slow work under a limit that cuts a quarter of it off.
    role("researcher", SONNET, 10.0, ["document", "review"], (70.0, 0.7, 120.0), (0.0, 0.96, 83.0), (2e4, 1.5e3)),
    role("planner", OPUS, 11.0, ["document", "implement"], (25.0, 0.5, 180.0), (0.003, 0.94, 86.0), (2e3, 600.0)),
    // Bad at the same work as its peers.
    role("sql-analyst", SONNET, 10.0, ["implement", "document"], (28.0, 0.6, 180.0), (0.01, 0.58, 61.0), (8e3, 1.4e3)),
    // Hardly ever called: too little to judge it by.
    role("release-manager", SONNET, 0.3, ["review", "document"], (40.0, 0.5, 300.0), (0.0, 0.95, 84.0), (5e3, 800.0)),
];

/// Runs by hour of the day, relative to each other.
const DAY: [f64; 24] = [
    0.3, 0.3, 0.3, 0.3, 0.3, 0.4, 0.6, 0.9, 1.4, 1.7, 1.8, 1.7, 1.5, 1.7, 1.8, 1.7, 1.6, 1.4, 1.1, 0.9, 0.7, 0.6, 0.4,
    0.3,
];

const STORM: Span = Span::minutes(12);
const LONG_PROMPTS: Span = Span::minutes(90);

/// Writes the lines of a plan, oldest first.
pub fn write(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let mut random = Random(plan.seed);
    let agents: Vec<Agent> = (0..plan.agents).map(|i| Agent::new(i, &mut random)).collect();
    let mut shares = Vec::with_capacity(agents.len());
    let mut total = 0.0;
    for agent in &agents {
        total += agent.role.share;
        shares.push(total);
    }
    let end = plan.start + plan.span;
    let stormy = agents.iter().find(|agent| plan.incidents && agent.name == "bug-hunter");
    let storm_runs = if stormy.is_some() { (plan.records / 50).min(60) } else { 0 };
    let mut storm = (0..storm_runs).map(|i| instant(end + Span(-STORM.0), STORM, i, storm_runs)).peekable();
    let usual = plan.records - storm_runs;
    let mut times = Times::new(plan);
    for i in 0..usual {
        let at = times.at((i as f64 + random.uniform()) / usual as f64);
        while let (Some(agent), Some(storm_at)) = (stormy, storm.next_if(|storm_at| *storm_at <= at)) {
            agent.run(storm_at, Trouble::Failing, &mut random, out)?;
        }
        let pick = random.uniform() * total;
        let agent = &agents[shares.partition_point(|share| *share <= pick).min(agents.len() - 1)];
        let trouble = match agent.name.as_str() {
            "bug-hunter" if plan.incidents && end.since(at) < STORM => Trouble::Failing,
            "planner" if plan.incidents && end.since(at) < LONG_PROMPTS => Trouble::LongPrompts,
            _ => Trouble::None,
        };
        agent.run(at, trouble, &mut random, out)?;
    }
    if let Some(agent) = stormy {
        storm.try_for_each(|at| agent.run(at, Trouble::Failing, &mut random, out))?;
    }
    Ok(())
}

/// The `i`-th of `n` instants that are spread evenly over a span.
fn instant(start: Timestamp, span: Span, i: u64, n: u64) -> Timestamp {
    start + Span((span.0 as f64 * (i as f64 + 0.5) / n as f64) as i64)
}

/// Instants by the share of all runs that came before them, for shares that rise.
struct Times {
    start: Timestamp,
    /// Length and weight of every piece of an hour.
    pieces: Vec<(f64, f64)>,
    weight: f64,
    piece: usize,
    before: (f64, f64),
}

impl Times {
    fn new(plan: &Plan) -> Times {
        const HOUR: i64 = 3_600_000;
        let mut pieces = Vec::new();
        let (mut at, end) = (plan.start.0, plan.start.0 + plan.span.0);
        while at < end {
            let next = ((at.div_euclid(HOUR) + 1) * HOUR).min(end);
            let rate = DAY[at.div_euclid(HOUR).rem_euclid(24) as usize];
            pieces.push(((next - at) as f64, (next - at) as f64 * rate));
            at = next;
        }
        let weight = pieces.iter().map(|(_, weight)| weight).sum();
        Times { start: plan.start, pieces, weight, piece: 0, before: (0.0, 0.0) }
    }

    fn at(&mut self, share: f64) -> Timestamp {
        let wanted = share * self.weight;
        while let Some((length, weight)) = self.pieces.get(self.piece) {
            if wanted <= self.before.1 + weight {
                return self.start + Span((self.before.0 + length * (wanted - self.before.1) / weight) as i64);
            }
            self.before = (self.before.0 + length, self.before.1 + weight);
            self.piece += 1;
        }
        self.start + Span(self.before.0 as i64)
    }
}

struct Agent {
    name: String,
    role: &'static Role,
    pace: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Failing,
    LongPrompts,
}

impl Agent {
    fn new(i: usize, random: &mut Random) -> Agent {
        let role = &ROLES[i % ROLES.len()];
        let (name, pace) = match i < ROLES.len() {
            true => (role.name.to_owned(), 1.0),
            false => (format!("{}-{i}", role.name), random.log_normal(1.0, 0.3)),
        };
        Agent { name, role, pace }
    }

    /// Writes one run that ended at `at`.
    fn run(&self, at: Timestamp, trouble: Trouble, random: &mut Random, out: &mut impl Write) -> io::Result<()> {
        let role = self.role;
        let task = role.tasks[usize::from(random.uniform() < 0.3)];
        let hung = random.uniform() < role.hung;
        let natural_s = random.log_normal(role.median_s * self.pace, role.spread);
        let fails = random.uniform() < if trouble == Trouble::Failing { 0.9 } else { 1.0 - role.success };
        let timed_out = trouble != Trouble::Failing && (hung || natural_s > role.limit_s);
        let (seconds, error) = match () {
            () if timed_out => (role.limit_s + random.uniform() * 0.2, Some("TimeoutError")),
            () if fails && trouble == Trouble::Failing => (natural_s * 0.05, Some("APIConnectionError")),
            () if fails && random.uniform() < 0.1 => (0.3 + random.uniform(), Some("RateLimitError")),
            () if fails => (natural_s, Some("AssertionError")),
            () => (natural_s, None),
        };
        let length = if trouble == Trouble::LongPrompts { 10.0 } else { 1.0 };
        let (mut input, mut output) =
            (random.log_normal(role.tokens.0 * length, 0.4) as u64, random.log_normal(role.tokens.1, 0.4) as u64);
        if error.is_some() {
            (input, output) = (0, 0);
        }
        let cost = (input as f64 * role.price.0 + output as f64 * role.price.1) / 1e6;
        let quoted = |text: Option<&str>| text.map_or("null".to_owned(), |text| format!("\"{text}\""));
        let time = jiff::Timestamp::from_millisecond(at.0).map_err(io::Error::other)?;
        write!(
            out,
            "{{\"timestamp\": \"{}\", \"agent_name\": \"{}\", \"task_hash\": \"{:08x}\", \"success\": {}, \"execution_time_ms\": {:.1}, \"model\": \"{}\", \"input_tokens\": {input}, \"output_tokens\": {output}, \"total_tokens\": {}, \"estimated_cost\": {cost:.6}, \"error_type\": {}, \"workflow_name\": null, \"workflow_position\": null, \"task_type\": \"{task}\"",
            time.strftime("%Y-%m-%dT%H:%M:%S%.6f"),
            self.name,
            random.next() as u32,
            error.is_none(),
            seconds * 1e3,
            role.model,
            input + output,
            quoted(error),
        )?;
        // About half of what succeeds is judged.
        if error.is_none() && random.uniform() < 0.5 {
            let score = (role.quality + 6.0 * random.normal()).clamp(0.0, 100.0);
            write!(out, ", \"quality_score\": {score:.0}")?;
        }
        writeln!(out, ", \"timeout_ms\": {}, \"timed_out\": {timed_out}}}", role.limit_s * 1e3)
    }
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Within 0 and 1, both left out.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        median * (spread * self.normal()).exp()
    }
}
