//! Real server processes for tests: an SMTP server and a scripted HTTP receiver.
//!
//! Each test starts its own on a free port of the loopback interface and ends it by its process id
//! when the guard is dropped. What they need is prepared by `make test`; a test that cannot have
//! it says so and is left out, except with `CI=true`, where that is a failure.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to come up or to report a message, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    child: Child,
    lines: Receiver<Value>,
}

impl Server {
    /// Starts `script` of this folder under `python`.
    fn start(python: &Path, script: &str, arguments: &[&str]) -> Server {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
        let mut child = Command::new(python)
            .arg(&path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} {}: {error}", python.display(), path.display()));
        let output = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let mut server = Server { port: 0, child, lines };
        let port = server.next()["port"].as_u64().expect("the first line is the port");
        server.port = u16::try_from(port).expect("a port");
        server
    }

    /// What the server reports next: a request or a message.
    pub fn next(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("the server reports in time")
    }

    /// Everything reported so far and not yet read.
    pub fn reported(&mut self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A scripted HTTP receiver; `None` without Python.
pub fn http_sink(test: &str, arguments: &[&str]) -> Option<Server> {
    let python = Path::new("python3");
    if !runs(python, "import http.server") {
        return left_out(test, "python3 is not installed");
    }
    Some(Server::start(python, "http_sink.py", arguments))
}

/// An SMTP server; `None` without aiosmtpd.
pub fn smtp_server(test: &str, arguments: &[&str]) -> Option<Server> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python3");
    if !runs(&python, "import aiosmtpd") {
        return left_out(test, "there is no aiosmtpd in target/venv; `make tools` puts it there");
    }
    Some(Server::start(&python, "smtp_server.py", arguments))
}

fn runs(python: &Path, statement: &str) -> bool {
    let status = Command::new(python).args(["-c", statement]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Says that a test is left out; with `CI=true` that is a failure.
pub fn left_out<T>(test: &str, reason: &str) -> Option<T> {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run: {reason}");
    // Not a print macro: the harness swallows those of tests that pass.
    let _ = writeln!(std::io::stderr(), "left out: {test}: {reason}");
    None
}

/// A certificate authority and a server certificate for 127.0.0.1, thrown away with the folder.
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// Makes both with the openssl command.
    pub fn new() -> Certificates {
        let folder = tempfile::tempdir().expect("a folder");
        let openssl = |arguments: &str| {
            let output = Command::new("openssl")
                .args(arguments.split_whitespace())
                .current_dir(folder.path())
                .output()
                .expect("openssl runs");
            assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let names = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n";
        std::fs::write(folder.path().join("leaf.ext"), names).expect("writes");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=throw-away-ca"));
        openssl(&format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=localhost"));
        openssl(
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days 2 -extfile leaf.ext",
        );
        Certificates { folder }
    }

    /// The file of this name: `ca.pem`, `leaf.pem`, `leaf.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
