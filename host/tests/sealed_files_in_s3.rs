//! Sealed files in an S3 store that the settings name, through the `tidemill` binary, against an S3 server of another project in this
//! process: it checks signatures, serves ranges and lists like the real ones. Also when the server is away, and after `kill -9`.

mod tidemill;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use tidemill::running::{Running, live};
use tidemill::{DataDir, Done};
use tokio::sync::oneshot;

const BUCKET: &str = "events";
const PREFIX: &str = "deep/here";

/// A server that can be stopped, connections and all, and started again on the same port.
struct S3Server {
    root: tempfile::TempDir,
    port: u16,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl S3Server {
    fn start() -> S3Server {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join(BUCKET)).expect("a bucket");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let mut server = S3Server { root, port, running: None };
        server.serve(listener);
        server
    }

    fn serve(&mut self, listener: TcpListener) {
        let mut service = S3ServiceBuilder::new(FileSystem::new(self.root.path()).expect("a file system"));
        service.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = service.build();
        let (stop, mut stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                listener.set_nonblocking(true).expect("set");
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                loop {
                    tokio::select! {
                        _ = &mut stopped => break,
                        accepted = listener.accept() => {
                            let (service, (socket, _)) = (service.clone(), accepted.expect("a connection"));
                            tokio::spawn(async move {
                                let builder = Builder::new(TokioExecutor::new());
                                let _ = builder.serve_connection(TokioIo::new(socket), service).await;
                            });
                        }
                    }
                }
            });
            // Connections go with the runtime.
        });
        self.running = Some((stop, thread));
    }

    fn stop(&mut self) {
        let (stop, thread) = self.running.take().expect("it runs");
        stop.send(()).expect("it listens");
        thread.join().expect("an end");
    }

    fn start_again(&mut self) {
        self.serve(TcpListener::bind(("127.0.0.1", self.port)).expect("the same port"));
    }

    /// Names of the sealed files that it holds.
    fn files(&self) -> BTreeSet<String> {
        let folder = self.root.path().join(BUCKET).join(PREFIX).join("sealed");
        let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
    }

    /// The settings that name it.
    fn settings(&self, folder: &Path, secret: &str) -> PathBuf {
        let file = folder.join(format!("settings-{secret}.toml"));
        let text = format!(
            "[store]\ntier = \"s3://{BUCKET}/{PREFIX}\"\nhot = \"128KiB\"\nsealed_file = \"64KiB\"\n\n[store.tier_options]\n\
             endpoint = \"http://127.0.0.1:{}\"\nregion = \"here\"\naccess_key_id = \"key\"\nsecret_access_key = \"{secret}\"\n",
            self.port
        );
        std::fs::write(&file, text).expect("written");
        file
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}

/// A data directory and the settings for it.
struct World {
    data: DataDir,
    settings: PathBuf,
}

impl World {
    fn new(server: &S3Server) -> World {
        let data = DataDir::new();
        let settings = server.settings(data.path().parent().expect("a folder"), "secret");
        World { data, settings }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.data.command(args);
        command.env("TIDEMILL_SETTINGS", &self.settings);
        command
    }

    fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args))
    }

    /// The values of a stream, a line each.
    fn values(&self, stream: &str) -> String {
        let events = self.run(&["stream", "cat", stream]).json_lines();
        events.iter().flat_map(|event| [event["value"].as_str().expect("text"), "\n"]).collect()
    }

    fn append(&self, args: &[&str], lines: &str) -> Done {
        let input = self.data.path().with_file_name("lines");
        std::fs::write(&input, lines).expect("written");
        let mut command = self.command(args);
        command.stdin(std::fs::File::open(input).expect("the lines"));
        Done::of(command)
    }
}

/// Lines that hardly compress: a part of each differs from everything before.
fn lines(numbers: std::ops::Range<u64>) -> String {
    let mut x = numbers.start.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    for number in numbers {
        text.push_str(&format!("{number} "));
        for _ in 0..8 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            text.push_str(&format!("{x:016x}"));
        }
        text.push('\n');
    }
    text
}

#[test]
fn sealed_files_lie_in_the_store_and_everything_is_read_from_there() {
    let server = S3Server::start();
    let world = World::new(&server);
    world.run(&["stream", "create", "demo/s"]).ok();
    let all = lines(0..20_000);
    world.append(&["stream", "append", "demo/s"], &all).ok();
    assert!(server.files().len() > 5, "{:?}", server.files());
    assert!(!world.data.path().join("sealed").exists(), "none lies in the data directory");
    assert_eq!(world.values("demo/s"), all);
    world.run(&["store", "check"]).ok();
    let described = world.run(&["store", "describe", "--json"]).json();
    assert_eq!(described["remote_tier"], format!("s3://{BUCKET}/{PREFIX}"));
    assert!(world.run(&["store", "describe"]).ok().contains("sealed files lie in s3://events/deep/here"));

    // Without the setting, with another one, with wrong keys, and for another data directory.
    let error = world.data.run(&["stream", "cat", "demo/s"]).error();
    assert!(error.contains("s3://events/deep/here") && error.contains("store.tier"), "{error}");
    let wrong =
        World { data: world.data, settings: server.settings(world.settings.parent().expect("a folder"), "wrong") };
    let error = wrong.run(&["stream", "cat", "demo/s"]).error();
    assert!(error.contains("s3://events/deep/here") && error.contains("correct the keys"), "{error}");
    let other = World::new(&server);
    let error = other.run(&["stream", "create", "demo/s"]).error();
    assert!(error.contains("another data directory") && error.contains("use another prefix"), "{error}");

    // Truncation gives the space back.
    let world = World { data: wrong.data, settings: world.settings };
    world.run(&["stream", "truncate", "demo/s", "--all"]).ok();
    world.run(&["stream", "append", "demo/s"]).ok();
    assert_eq!(server.files(), BTreeSet::new());
}

#[test]
fn a_killed_append_resumes_and_the_files_in_the_store_are_those_that_the_index_names() {
    let server = S3Server::start();
    let world = World::new(&server);
    world.run(&["stream", "create", "demo/s", "--segments", "2"]).ok();
    let all = lines(0..20_000);
    let args = ["stream", "append", "demo/s", "--writer-id", "w"];
    let input = world.data.path().with_file_name("all");
    std::fs::write(&input, &all).expect("written");
    for files in [1, 4, 7] {
        let mut command = world.command(&args);
        let stdin = std::fs::File::open(&input).expect("the lines");
        let mut child = command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        while server.files().len() < files && child.try_wait().expect("asked").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("killed");
        child.wait().expect("an end");
    }
    world.append(&args, &all).ok();
    let cat = world.values("demo/s");
    let (mut read, mut written): (Vec<&str>, Vec<&str>) = (cat.lines().collect(), all.lines().collect());
    read.sort_unstable();
    written.sort_unstable();
    assert!(read == written, "{} of {} lines", read.len(), written.len());
    world.run(&["store", "check"]).ok();
    let described = world.run(&["store", "describe", "--json"]).json();
    let named = described["sealed_files"].as_array().expect("a list").iter();
    let named: BTreeSet<String> =
        named.map(|file| file["path"].as_str().expect("a path").trim_start_matches("sealed/").to_string()).collect();
    assert_eq!(server.files(), named);
}

#[test]
fn a_pipeline_goes_on_when_the_store_is_away_and_catches_up_when_it_is_back() {
    let mut server = S3Server::start();
    let world = World::new(&server);
    let file = live(&world.data, "p");
    let (file, settings) = (file.to_string_lossy().into_owned(), world.settings.to_string_lossy().into_owned());
    let mut running = Running::start(&world.data, &[&file], &["--settings", &settings]);
    let first = lines(0..3_000);
    world.append(&["stream", "append", "p/in"], &first).ok();
    running.wait_for_events("p/out", 3_000);
    let describe = || world.run(&["store", "describe", "--json"]).json();
    running.wait_until(|| !server.files().is_empty() && describe()["hot_chunk_bytes"].as_u64() < Some(128 << 10));

    server.stop();
    // A little goes on as if nothing were.
    world.append(&["stream", "append", "p/in"], &lines(3_000..3_100)).ok();
    running.wait_for_events("p/out", 3_100);
    // Much waits, and is not refused.
    let much = lines(3_100..8_000);
    std::thread::scope(|scope| {
        let appended = scope.spawn(|| world.append(&["stream", "append", "p/in"], &much));
        running.wait_until(|| {
            let described = describe();
            described["mover"]["last_error"].is_string() && described["mover"]["waiting_parts"].as_u64() > Some(0)
        });
        server.start_again();
        appended.join().expect("no panic").ok();
    });
    running.wait_for_events("p/out", 8_000);
    let all = lines(0..3_000) + &lines(3_000..3_100) + &much;
    assert_eq!(world.values("p/out"), all);
    world.run(&["store", "check"]).ok();
    world.run(&["stop", "p"]).ok();
    assert_eq!(running.end().code, 0);
}
