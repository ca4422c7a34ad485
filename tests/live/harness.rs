//! The real program in a folder of its own, and a receiver in this process that writes down what it is sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// How long something may take that takes a moment, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

/// Exit code, standard output and standard error of a verb.
pub fn run(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = home.command(arguments);
    let output = command.env("USER", "ada").stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// One request that the receiver got whole.
#[derive(Debug, Clone)]
pub struct Message {
    /// The header `webhook-id`.
    pub id: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// The label `agent`.
    pub agent: String,
    /// The label `alertname`.
    pub rule: String,
    /// When it had come, by the wall clock in milliseconds.
    pub at_ms: i64,
    /// The whole body.
    pub body: Value,
}

/// A receiver on loopback that answers 200 after a moment.
pub struct Sink {
    /// Where it listens.
    pub url: String,
    messages: Arc<Mutex<Vec<Message>>>,
    down: Arc<AtomicBool>,
}

impl Sink {
    /// Starts it; every answer takes up to `delay`, so that kills meet attempts in flight.
    pub fn start(delay: Duration) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        let down = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&down);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { continue };
                let (kept, fails) = (Arc::clone(&kept), Arc::clone(&fails));
                let delay = delay * (number as u32 % 4) / 3;
                std::thread::spawn(move || serve(stream, delay, &kept, &fails));
            }
        });
        Sink { url, messages, down }
    }

    /// Whether it answers 503 and keeps nothing from here on.
    pub fn fails(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Everything so far, in the order of arrival.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().expect("no thread panics with it").clone()
    }
}

fn serve(mut stream: TcpStream, delay: Duration, kept: &Mutex<Vec<Message>>, down: &AtomicBool) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    loop {
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            // A sender that was killed leaves half a request, which is none.
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.split_once(':') else {
                if line == "\r\n" {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "webhook-id" => id = value.trim().to_owned(),
                "content-length" => length = value.trim().parse().expect("a number"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        if down.load(Ordering::Relaxed) {
            if stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
            continue;
        }
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = Message {
            id,
            status: text(&body["alerts"][0]["status"]),
            agent: text(&body["alerts"][0]["labels"]["agent"]),
            rule: text(&body["alerts"][0]["labels"]["alertname"]),
            at_ms: now_ms(),
            body,
        };
        kept.lock().expect("no thread panics with it").push(message);
        std::thread::sleep(delay);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// A folder with a configuration; the program in it is ended with it.
pub struct Home {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Home {
    /// A folder with these texts as `evenkeel.yaml` and `rules.yaml`.
    pub fn new(config: &str, rules: &str) -> Home {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("evenkeel.yaml"), config).expect("writes");
        std::fs::write(dir.path().join("rules.yaml"), rules).expect("writes");
        Home { dir, child: None }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text of a file in the folder; empty when it is not there.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// Adds to a file in the folder.
    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        append(&self.path(name), bytes.as_ref());
    }

    /// The program with these arguments, in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.at_home(Command::new(env!("CARGO_BIN_EXE_evenkeel")), arguments)
    }

    /// The program with these arguments, in the folder, from a shell that did this before.
    pub fn command_after(&self, before: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_evenkeel")]);
        self.at_home(command, arguments)
    }

    fn at_home(&self, mut command: Command, arguments: &[&str]) -> Command {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("opens");
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("EVENKEEL_LOG", "debug")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        command
    }

    /// Starts `evenkeel run`.
    pub fn start(&mut self) {
        self.start_as(|command| command);
    }

    /// Starts `evenkeel run` after `change` had its way with the command.
    pub fn start_as(&mut self, change: impl FnOnce(&mut Command) -> &mut Command) {
        let mut command = self.command(&["run"]);
        // Its own group, so that a Ctrl-C in the terminal of the tests is not its business.
        change(command.process_group(0));
        self.child = Some(command.spawn().expect("starts"));
    }

    /// Starts `evenkeel run` from a shell that did this before.
    pub fn start_after(&mut self, before: &str, change: impl FnOnce(&mut Command) -> &mut Command) {
        let mut command = self.command_after(before, &["run"]);
        change(command.process_group(0));
        self.child = Some(command.spawn().expect("starts"));
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("started").id()
    }

    /// Kills it as a power cut would, for the process.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("started");
        child.kill().expect("is there");
        child.wait().expect("ends");
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Asks it to end, and returns how it did and how long it took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal("TERM");
        (self.wait(), start.elapsed())
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("started");
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = child.try_wait().expect("can be waited for") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("it does not end; its log:\n{}", self.text("log"));
    }

    /// Waits until `done`, else fails with the log.
    pub fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < end, "waited in vain until {what}; the log:\n{}", self.text("log"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the log says this.
    pub fn until_logged(&self, text: &str) {
        self.until(text, || self.text("log").contains(text));
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Says that a test, or the rest of it, cannot run here. Not by a print macro: the harness swallows those of tests that
/// pass.
pub fn left_out(what: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "left out: {what}: {reason}");
}

/// Adds to a file, as one write.
pub fn append(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opens");
    file.write_all(bytes).expect("writes");
}

/// An execution as its agent logs it.
pub fn execution(at_ms: i64, agent: &str, ok: bool) -> String {
    let at = evenkeel::model::Timestamp(at_ms);
    let error = if ok { "null" } else { "\"ToolError\"" };
    format!(
        "{{\"timestamp\":\"{at}\",\"agent_name\":\"{agent}\",\"task_hash\":\"0\",\"success\":{ok},\
         \"execution_time_ms\":1200.5,\"model\":\"claude-3-haiku-20240307\",\"input_tokens\":10,\"output_tokens\":5,\
         \"total_tokens\":15,\"estimated_cost\":0.0,\"error_type\":{error},\"workflow_name\":null,\
         \"workflow_position\":null}}\n"
    )
}

/// The wall clock in milliseconds.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// Numbers that only depend on the seed (xorshift64*).
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.max(1))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

impl Home {
    /// What the API of the daemon that says in the log where it listens has under a path: the whole answer.
    pub fn get(&self, path: &str) -> Option<String> {
        let log = self.text("log");
        let address = log.lines().rev().find_map(|line| line.trim().strip_prefix("serves  http://"))?.to_owned();
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// A counter of `/metrics`; the sum of its series.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics")?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.split_once(' ')?;
            (series.split('{').next() == Some(name)).then(|| value.trim().parse::<f64>().ok())?
        });
        values.reduce(|sum, value| sum + value)
    }

    /// Waits until the daemon has taken in so many executions, doubles left out.
    pub fn until_records(&self, n: u64) {
        let counted = || self.metric("evenkeel_records_total");
        self.until(&format!("{n} executions are counted"), || counted() == Some(n as f64));
    }
}
