//! Where a soak takes place: a folder with pipeline files and the owner's log, a small disk in it with the data directory,
//! and the commands run there. Every actor is lent it.

use super::Options;
use super::random::Random;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients append here.
pub(super) const INPUT: &str = "soak/in";
/// The first pipeline counts here.
pub(super) const COUNTS: &str = "soak/counts";
/// The second hands the first's output on.
pub(super) const HOP: &str = "soak/hop";
/// Segments of each of them.
pub(super) const SEGMENTS: u64 = 2;

pub(super) const MIB: u64 = 1 << 20;
/// `store.reserve`.
const RESERVE: u64 = 8 * MIB;
/// The disk, and how it grows with the length of the soak: nothing is ever taken out of the streams.
const DISK_BYTES: u64 = 96 * MIB;
const DISK_BYTES_PER_MINUTE: u64 = 16 * MIB;
/// The settings, so small that moving and merging never end.
const SETTINGS: &str = "[store]\ncache = \"8MiB\"\nhot = \"1MiB\"\nsealed_file = \"256KiB\"\nreserve = \"8MiB\"\n\n\
                        [dataflow]\nuncommitted = \"2MiB\"\n";
/// Between two looks at a child.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What a command still gets to end by itself after the owner has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is counted, for the summary.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) acknowledged: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) tailed: AtomicU64,
    pub(super) archived: AtomicU64,
    pub(super) inputs_read: AtomicU64,
    pub(super) hot_bytes_max: AtomicU64,
    pub(super) memory_bytes_max: AtomicU64,
    pub(super) directory_bytes_max: AtomicU64,
}

/// The place.
pub(super) struct World {
    tidemill: PathBuf,
    folder: PathBuf,
    /// The operator that counts.
    component: PathBuf,
    is_mounted: bool,
    up: AtomicBool,
    over: AtomicBool,
    /// The owner's process; 0 = none.
    owner: AtomicU32,
    violation: Mutex<Option<String>>,
    pub(super) totals: Totals,
}

/// How a command ended.
pub(super) struct Done {
    pub(super) ok: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl World {
    /// Makes it: in memory when this user may mount, else in a temporary folder, where the disk is never filled.
    pub(super) fn new(options: &Options) -> Result<World> {
        let folder = std::env::temp_dir().join(format!("tidemill-soak-{}-{}", std::process::id(), options.seed));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(folder.join("disk")).with_context(|| format!("cannot make {}", folder.display()))?;
        let minutes = options.length.as_secs() / 60;
        let bytes = DISK_BYTES + minutes * DISK_BYTES_PER_MINUTE;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=700"), "tidemill-soak"]).arg(folder.join("disk"));
        let is_mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        let world = World {
            tidemill: options.tidemill.clone(),
            folder,
            component: options.root.join("examples/operators/count"),
            is_mounted,
            up: AtomicBool::new(false),
            over: AtomicBool::new(false),
            owner: AtomicU32::new(0),
            violation: Mutex::new(None),
            totals: Totals::default(),
        };
        world.log()?;
        world.write("settings.toml", SETTINGS)?;
        if !world.component.join("component.wasm").exists() {
            bail!("{} is not built: run `cargo xtask guests`", world.component.display());
        }
        let component = world.component.display();
        world.write(
            "counts.toml",
            &format!(
                "[pipeline]\nname = \"counts\"\nparallelism = 2\nmin_commit_interval = \"10ms\"\n\n[sources.in]\nstream = \
                 \"{INPUT}\"\n\n[operators.count]\ncomponent = \"{component}\"\ninput = \"in\"\n\n[sinks.out]\ninput = \
                 \"count.counts\"\nstream = \"{COUNTS}\"\nsegments = {SEGMENTS}\n"
            ),
        )?;
        world.write(
            "hop.toml",
            &format!(
                "[pipeline]\nname = \"hop\"\nmin_commit_interval = \"10ms\"\n\n[sources.counts]\nstream = \"{COUNTS}\"\n\n\
                 [sources.raw]\nstream = \"{INPUT}\"\n\n[sinks.out]\ninput = \"counts\"\nstream = \"{HOP}\"\nsegments = \
                 {SEGMENTS}\n\n[sinks.archive]\ninput = \"raw\"\nfile = {{ path = \"{}\", roll_interval = \"300ms\" }}\n",
                world.archive().display()
            ),
        )?;
        for stream in [INPUT, COUNTS, HOP] {
            world.ok(&["stream", "create", stream, "--segments", &SEGMENTS.to_string()])?;
        }
        Ok(world)
    }

    /// A pipeline that counts the rows of a file, with a name of its own.
    pub(super) fn write_rows_pipeline(&self, name: &str, rows: &str) -> Result<()> {
        self.write(
            "rows.toml",
            &format!(
                "[pipeline]\nname = \"{name}\"\nmin_commit_interval = \"10ms\"\n\n[sources.rows]\nfile = {{ path = \
                 \"{rows}\", format = \"csv\" }}\nkey = {{ column = \"key\" }}\n\n[operators.count]\ncomponent = \"{}\"\ninput \
                 = \"rows\"\n\n[sinks.out]\ninput = \"count.counts\"\nstream = \"{name}/counts\"\n",
                self.component.display()
            ),
        )
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("disk/data")
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.folder.join("disk/archive")
    }

    pub(super) fn is_mounted(&self) -> bool {
        self.is_mounted
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// `tidemill ARGS --data-dir THE DIRECTORY`, not yet started.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.tidemill);
        command.args(args).arg("--data-dir").arg(self.data()).env("TIDEMILL_SETTINGS", self.path("settings.toml"));
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command that must succeed; for when no owner runs, or to look at one that does not end meanwhile.
    pub(super) fn ok(&self, args: &[&str]) -> Result<Vec<u8>> {
        let Output { status, stdout, stderr } = self.command(args).output().context("cannot start tidemill")?;
        if !status.success() {
            let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            bail!("tidemill {} failed:\n{out}{err}", args.join(" "));
        }
        Ok(stdout)
    }

    pub(super) fn json(&self, args: &[&str]) -> Result<Value> {
        let stdout = self.ok(&[args, &["--json"]].concat())?;
        serde_json::from_slice(&stdout).with_context(|| format!("tidemill {} printed no JSON", args.join(" ")))
    }

    /// Runs a command beside the owner, with this on stdin; broken off when the owner has ended.
    pub(super) fn beside(&self, args: &[&str], stdin: &[u8]) -> Result<Done> {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).spawn().context("cannot start tidemill")?;
        let (input, mut out, mut err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // A command that has ended reads no more.
                let _ = input.context("no stdin").and_then(|mut input| Ok(input.write_all(stdin)?));
            });
            let read = |from: Option<&mut dyn std::io::Read>| {
                let mut bytes = Vec::new();
                let _ = from.context("no pipe").and_then(|from| Ok(from.read_to_end(&mut bytes)?));
                bytes
            };
            let stdout = scope.spawn(move || read(out.as_mut().map(|out| out as &mut dyn std::io::Read)));
            let stderr = scope.spawn(move || read(err.as_mut().map(|err| err as &mut dyn std::io::Read)));
            let ok = self.wait(&mut child)?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let stdout = stdout.join().map_err(|_| anyhow!("a reading thread panicked"))?;
            Ok(Done { ok, stdout, stderr: text(stderr.join().map_err(|_| anyhow!("a reading thread panicked"))?) })
        })
    }

    fn wait(&self, child: &mut Child) -> Result<bool> {
        let mut down: Option<Instant> = None;
        loop {
            if let Some(status) = child.try_wait().context("a command got lost")? {
                return Ok(status.success());
            }
            if self.is_up() {
                down = None;
            } else if down.get_or_insert_with(Instant::now).elapsed() > LAST_WORDS {
                // It may have become the owner itself, and wait for room, say.
                let _ = child.kill();
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    pub(super) fn set_owner(&self, id: Option<u32>) {
        self.owner.store(id.unwrap_or(0), Ordering::SeqCst);
        self.up.store(id.is_some(), Ordering::SeqCst);
    }

    pub(super) fn owner(&self) -> Option<u32> {
        Some(self.owner.load(Ordering::SeqCst)).filter(|id| *id != 0)
    }

    /// Whether actors may work.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    /// Whether it is all over.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Notes the first thing that did not hold.
    pub(super) fn violated(&self, what: String) {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("disk/ballast")
    }

    /// Fills the disk: wholly, or into the reserve. What was free.
    pub(super) fn fill(&self, random: &mut Random, wholly: bool) -> Result<()> {
        let leave = if wholly { 0 } else { random.range(RESERVE / 2, RESERVE) };
        let free = self.free_bytes()?;
        let mut file = OpenOptions::new().create(true).append(true).open(self.ballast()).context("no ballast")?;
        let block = vec![0; 64 << 10];
        let mut left = free.saturating_sub(leave);
        while wholly || left >= block.len() as u64 {
            match file.write_all(&block) {
                Ok(()) => left = left.saturating_sub(block.len() as u64),
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error).context("cannot write ballast"),
            }
        }
        Ok(())
    }

    /// Takes the ballast away.
    pub(super) fn make_room(&self) -> Result<()> {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("cannot remove the ballast"),
            _ => Ok(()),
        }
    }

    fn free_bytes(&self) -> Result<u64> {
        let mut df = Command::new("df");
        let output = df.args(["-B1", "--output=avail"]).arg(self.path("disk")).output().context("cannot run df")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1).and_then(|line| line.trim().parse().ok()).with_context(|| format!("df said {text:?}"))
    }

    /// The owner's log, to write to.
    pub(super) fn log(&self) -> Result<File> {
        let path = self.path("owner.log");
        OpenOptions::new().create(true).append(true).open(&path).with_context(|| format!("no {}", path.display()))
    }

    /// What the owner has said so far.
    pub(super) fn logged(&self) -> Result<String> {
        fs::read(self.path("owner.log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).context("no log")
    }

    /// Removes everything; after a violation it is kept, but in memory no longer than the disk lasts.
    pub(super) fn remove(self) -> Result<()> {
        self.unmount()?;
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    /// Takes the disk away and keeps its files, but for the ballast; where they are.
    pub(super) fn keep(self) -> Result<PathBuf> {
        self.make_room()?;
        if self.is_mounted {
            let (disk, kept) = (self.path("disk"), self.path("kept"));
            let copied = Command::new("cp").arg("-a").arg(&disk).arg(&kept).status().context("cannot run cp")?;
            if !copied.success() {
                return Ok(self.folder.clone());
            }
        }
        self.unmount()?;
        Ok(self.folder.clone())
    }

    fn unmount(&self) -> Result<()> {
        if self.is_mounted {
            let status =
                Command::new("umount").arg("-l").arg(self.path("disk")).status().context("cannot run umount")?;
            if !status.success() {
                bail!("cannot unmount {}", self.path("disk").display());
            }
        }
        Ok(())
    }
}

/// Bytes of all files under a folder.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0, // deleted just now
    };
    entries.flatten().map(bytes).sum()
}
