//! The API beside the loop: where it listens, where people find it, and the picture that it shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::api::{self, Access, Asked, Picture};
use super::refusal::RunError;
use super::sink;
use crate::settings::Settings;

/// Changes that wait for the loop; further ones are refused at once.
const ASKS: usize = 16;

/// A socket that nobody answers yet.
pub struct Listening {
    address: SocketAddr,
    listener: TcpListener,
    access: Access,
}

impl Listening {
    /// Listens as the settings say; `None` when they say `off`.
    pub async fn start(settings: &Settings) -> Result<Option<Listening>, RunError> {
        let Some(address) = settings.listen else { return Ok(None) };
        let token = match &settings.api_token {
            Some(secret) => Some(sink::read(secret).await?),
            None => None,
        };
        let access = Access::new(address, token.as_ref())?;
        let listener = TcpListener::bind(address).await.map_err(|error| RunError::Listen(address, error))?;
        let address = listener.local_addr().map_err(|error| RunError::Listen(address, error))?;
        Ok(Some(Listening { address, listener, access }))
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, with this picture first.
    pub fn serve(self, picture: Picture) -> Serving {
        let (pictures, newest) = watch::channel(Arc::new(picture));
        let (end, ended) = oneshot::channel();
        let (asks, asked) = mpsc::channel(ASKS);
        let task = tokio::spawn(api::serve(self.listener, self.access, newest, asks, async {
            let _ = ended.await;
        }));
        Serving { address: self.address, pictures, asked, end, task }
    }
}

/// The API that answers.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    pictures: watch::Sender<Arc<Picture>>,
    asked: mpsc::Receiver<Asked>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    /// The address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next thing that somebody asks; never, where nothing is served.
    pub async fn asked(api: &mut Option<Serving>) -> Asked {
        let next = match api {
            Some(serving) => serving.asked.recv().await,
            None => None,
        };
        match next {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }

    /// Shows another picture from now on.
    pub fn show(&self, picture: Picture) {
        self.pictures.send_replace(Arc::new(picture));
    }

    /// Ends after the answers in flight, or after `grace`.
    pub async fn stop(self, grace: Duration) {
        let _ = self.end.send(());
        let _ = timeout(grace, self.task).await;
    }
}

/// What messages name as the place where this daemon is found: the setting, else the address, else nothing. An address
/// that means every interface leads nowhere from another machine, so the name of this one stands for it.
pub fn external_url(settings: &Settings, address: Option<SocketAddr>) -> String {
    match (&settings.external_url, address) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(address)) if address.ip().is_unspecified() => {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let name = if name.trim().is_empty() { "localhost" } else { name.trim() };
            format!("http://{name}:{}", address.port())
        }
        (None, Some(address)) => format!("http://{address}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lead_to_where_the_daemon_is_found() {
        let check = |setting: Option<&str>, address: Option<&str>| {
            let settings = Settings { external_url: setting.map(str::to_owned), ..Settings::default() };
            external_url(&settings, address.map(|a| a.parse().expect("an address")))
        };
        assert_eq!(check(None, Some("127.0.0.1:9533")), "http://127.0.0.1:9533");
        assert_eq!(check(None, None), "");
        assert_eq!(check(Some("https://ops.example/keel/"), Some("0.0.0.0:1")), "https://ops.example/keel");
        for address in ["0.0.0.0:9533", "[::]:9533"] {
            let url = check(None, Some(address));
            assert!(url.ends_with(":9533") && !url.contains("0.0.0.0") && !url.contains("[::]"), "{url}");
        }
    }
}
