//! An HTTP server as the work of a supervised component.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use futures_util::future::join;
use parking_lot::Mutex;

use crate::runtime::supervision::{Factory, Slot, WorkError};
use crate::wire::WorkerState;

/// The work of a component that is an HTTP server. `serve` makes it on a bound listener, and again after a failure. When it is
/// drained, the listener is closed, and the calls under way have the server's `shutdown_timeout` to end.
pub fn http_server(
    listener: TcpListener,
    serve: impl Fn(TcpListener) -> io::Result<Server> + Send + Sync + 'static,
) -> Factory {
    let (listener, serve) = (Arc::new(Mutex::new(Some(listener))), Arc::new(serve));
    Arc::new(move |slot| {
        let (listener, serve) = (listener.clone(), serve.clone());
        Box::pin(async move {
            let again = listener.lock().as_ref().map(TcpListener::try_clone);
            // None: it died while it was drained.
            let Some(again) = again else { return Ok(()) };
            run(slot, serve(again?)?, || drop(listener.lock().take())).await
        })
    })
}

async fn run(slot: Slot, mut server: Server, close: impl FnOnce()) -> Result<(), WorkError> {
    slot.status.set(WorkerState::Idle, None);
    match slot.drain.run_until_cancelled(&mut server).await {
        Some(Ok(())) => Err(WorkError::Other("the server has ended by itself".to_owned())),
        Some(Err(error)) => Err(error.into()),
        None => {
            close();
            let stopped = server.handle().stop(true);
            Ok(join(server, stopped).await.0?)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use actix_web::{App, HttpResponse, HttpServer, web};

    use super::*;
    use crate::runtime::supervision::{Component, CrashWorker, Drain};
    use crate::runtime::testing::supervise;

    #[actix_rt::test]
    async fn a_server_that_fails_or_dies_is_made_anew_and_one_that_is_drained_closes_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let made = Arc::<AtomicUsize>::default();
        let count = made.clone();
        let factory = http_server(listener, move |listener| {
            if count.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            let app = || App::new().route("/", web::get().to(HttpResponse::Ok));
            Ok(HttpServer::new(app).workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
        });
        let supervisor = supervise(Component::spawn_from(factory), 1);
        let client = awc::Client::default();
        let answers =
            async || client.get(format!("http://{address}/")).send().await.is_ok_and(|answer| answer.status() == 200);
        while !answers().await {}
        assert!(supervisor.send(CrashWorker(0)).await.unwrap());
        while made.load(Ordering::Relaxed) < 3 || !answers().await {
            tokio::task::yield_now().await;
        }
        supervisor.send(Drain).await.unwrap();
        assert!(TcpStream::connect(address).is_err());
    }
}
