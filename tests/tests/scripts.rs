//! End to end: the scripts of `examples/`, of which `make run` is one, and what they say to type, word for
//! word.
//!
//! Needs what `namespaces.rs` needs, and is skipped as that is. A script has a folder of its own for the
//! namespaces that it names, so that they are nobody else's.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use weir_tests::namespaces::{text, weir_binary};

/// How long a script may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ends the line before what is to fail.
const REFUSED: &str = "hat nobody lets in:";
/// The last line.
const LAST: &str = "Ctrl-C stops it.";

#[test]
fn make_run_shows_what_it_says() {
    does_what_it_says("two-namespaces.sh", ["left", "right"], 3);
}

#[test]
fn an_overlay_shows_what_it_says() {
    does_what_it_says("overlay.sh", ["weir-switch", "weir-peer"], 4);
}

/// Of the commands that the script prints the first `passing` succeed, and the last does not. After
/// Ctrl-C it ends well, and nothing is left of `namespaces`.
fn does_what_it_says(script: &str, namespaces: [&str; 2], passing: usize) {
    let Some(binary) = weir_binary() else {
        return;
    };
    let mut script = Script::start(script, &binary);
    let said = script.says_what_to_try();
    let told = said.join("\n");
    let refused = said.iter().position(|line| line.ends_with(REFUSED));
    let (passes, refused) = said.split_at(refused.expect(&told));
    assert_eq!(commands(passes).count(), passing, "{told}");
    assert_eq!(commands(refused).count(), 1, "{told}");
    for command in commands(passes) {
        let output = script.run(command);
        assert!(output.status.success(), "{command}: {}", text(&output));
        assert!(!output.stdout.is_empty(), "{command}");
    }
    for command in commands(refused) {
        let told = text(&script.run(command));
        assert!(told.contains("100% packet loss"), "{command}: {told}");
    }
    let there = text(&script.run("ip netns list"));
    assert!(
        namespaces.iter().all(|name| there.contains(name)),
        "{there}"
    );
    let left = script.end();
    assert!(!namespaces.iter().any(|name| left.contains(name)), "{left}");
}

/// The lines that are to be typed.
fn commands(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().filter_map(|line| line.strip_prefix("  "))
}

/// A script that runs in a network namespace of its own and sees a folder `/run/netns` of its own.
struct Script(Child);

impl Script {
    fn start(name: &str, binary: &Path) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let child = Command::new("unshare")
            .args(["--mount", "--net", "sh", "-ec"])
            .arg("mkdir -p /run/netns; mount -t tmpfs none /run/netns; exec env --default-signal=INT \"$0\" \"$1\"")
            .arg(examples.join(name))
            .arg(binary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("unshare can be run"))
    }

    /// All that it says before the last line.
    fn says_what_to_try(&mut self) -> Vec<String> {
        let said = self.0.stdout.as_mut().expect("it is piped");
        let lines = BufReader::new(said).lines();
        let lines = lines.map(|line| line.expect("text"));
        let lines: Vec<String> = lines.take_while(|line| line != LAST).collect();
        assert!(lines.len() > 5, "it ended: {lines:?}");
        lines
    }

    /// A shell in another terminal, with this to do.
    fn beside(&self, command: &str) -> Command {
        let mut shell = Command::new("nsenter");
        shell
            .args(["--mount", "--net", "--target", &self.0.id().to_string()])
            .args(["sh", "-c", command]);
        shell
    }

    fn run(&self, command: &str) -> Output {
        let output = self.beside(command).output();
        output.expect("nsenter can be run")
    }

    /// Ctrl-C. Returns which namespaces are left.
    fn end(mut self) -> String {
        // Somebody has to be in the folder, or it would go with the script.
        let mut last = self.beside("read line; ip netns list");
        let last = last.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut last = last.expect("nsenter can be run");
        kill(self.pid(), Signal::SIGINT).expect("the script runs");
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < until, "the script does not end");
            sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}");
        drop(last.stdin.take());
        text(&last.wait_with_output().expect("a child"))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().expect("a process id"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            // It takes its switch down.
            let _gone_already = kill(self.pid(), Signal::SIGTERM);
            let _waited_already = self.0.wait();
        }
    }
}
