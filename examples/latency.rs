//! How long it takes from a line in a tailed file to the message at a webhook, through the whole daemon:
//!
//! ```sh
//! cargo build --release --bin evenkeel --example latency
//! target/release/examples/latency
//! ```
//!
//! Starts `evenkeel run` in a folder of its own, with `evaluation_interval: 1ms` and no grouping, and a receiver on
//! loopback. Then appends failed executions one at a time, each of an agent that is new, so that each fires one
//! alert. A sample is the time from just before the line is written to when its message is received whole. The
//! journal is synced to disk before a message goes, so a slow disk shows; what a sync takes here is measured too.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use clap::Parser;

const RULES: &str = "alerts:
- {name: failed, condition: error_rate > 50%, window: 1h, min_samples: 1, severity: critical}
";

/// Measures the time from an appended line to its message at a webhook.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program; by default the one beside the examples' folder.
    #[arg(long)]
    evenkeel: Option<PathBuf>,
    /// Samples.
    #[arg(short, default_value_t = 1_000)]
    n: usize,
    /// Between two lines, at least, in milliseconds; what is added varies from 0 to as much again.
    #[arg(long, default_value_t = 10)]
    pause: u64,
    /// Where the folder is made, to measure another disk.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The evaluation interval.
    #[arg(long, default_value = "1ms")]
    interval: String,
}

/// Ends the daemon with the measurement, however that ends.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let beside = std::env::current_exe()?.with_file_name("../evenkeel");
    let program = arguments.evenkeel.unwrap_or(beside).canonicalize()?;
    let dir = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (received, messages) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let received = received.clone();
            std::thread::spawn(move || answer(stream, &received));
        }
    });
    let config = format!(
        "evaluation_interval: {}\nrules: [rules.yaml]\nlisten: 127.0.0.1:0\nstate_dir: state\ndamping: {{flaps: 0, flood: 0}}\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\nreceivers: [{{name: ops, webhook: {{url: \"{url}\"}}}}]\n",
        arguments.interval
    );
    std::fs::write(dir.path().join("evenkeel.yaml"), config)?;
    std::fs::write(dir.path().join("rules.yaml"), RULES)?;
    let log = File::create(dir.path().join("log"))?;
    let mut command = Command::new(program);
    command.arg("run").current_dir(dir.path()).env("EVENKEEL_LOG", "error").env_remove("NOTIFY_SOCKET");
    let mut daemon = Daemon(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
    std::thread::sleep(Duration::from_secs(1));

    let mut file = OpenOptions::new().create(true).append(true).open(dir.path().join("fleet.jsonl"))?;
    let mut times = Vec::with_capacity(arguments.n);
    // The first ones open the connection and warm things up.
    let warm = 20;
    for number in 0..arguments.n + warm {
        std::thread::sleep(Duration::from_micros(
            arguments.pause * 1_000 + number as u64 * 7_919 % (arguments.pause * 1_000 + 1),
        ));
        let line = format!(
            "{{\"timestamp\":\"{}\",\"agent_name\":\"agent-{number}\",\"success\":false,\"execution_time_ms\":1200}}\n",
            evenkeel::shell::clock::wall()
        );
        let start = Instant::now();
        file.write_all(line.as_bytes())?;
        let wanted = format!("agent-{number}");
        loop {
            let Ok((agent, at)) = messages.recv_timeout(Duration::from_secs(30)) else {
                return Err(
                    format!("no message about {wanted}; {}", std::fs::read_to_string(dir.path().join("log"))?).into()
                );
            };
            if agent == wanted {
                times.push(at.duration_since(start));
                break;
            }
        }
    }
    daemon.0.kill()?;
    times.drain(..warm);
    println!("{:<28} {}", "line to message", shown(&mut times));
    println!("{:<28} {}", "of that: a sync of the disk", shown(&mut syncs(&dir.path().join("probe"))?));
    Ok(())
}

/// Answers 200 to everything, and says which agent each message was about and when it was there.
fn answer(mut stream: std::net::TcpStream, received: &Sender<(String, Instant)>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            (reader.read_line(&mut line).ok()? > 0).then_some(())?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let at = Instant::now();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let agent = body["alerts"][0]["labels"]["agent"].as_str().unwrap_or_default().to_owned();
        received.send((agent, at)).ok()?;
    }
}

/// What it takes to append a little and sync it, some times over.
fn syncs(path: &std::path::Path) -> std::io::Result<Vec<Duration>> {
    let mut file = File::create(path)?;
    let once = |file: &mut File| {
        file.write_all(&[7; 300])?;
        let start = Instant::now();
        file.sync_data()?;
        Ok(start.elapsed())
    };
    (0..200).map(|_| once(&mut file)).collect()
}

fn shown(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| {
        times[((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1].as_secs_f64() * 1e3
    };
    format!(
        "n = {:<6} p50 {:6.2} ms   p95 {:6.2} ms   p99 {:6.2} ms   max {:6.2} ms",
        times.len(),
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    )
}
