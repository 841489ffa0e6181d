//! The program while it runs, and a load that is held where it is: what tests of faults stand on.

use crate::support::{Ran, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a condition holds, looking again and again.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < PATIENCE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The program, started; it is killed when the test is over.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<()>>,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(world: &World, arguments: &[&str]) -> Self {
        Self::of(&mut world.command(arguments))
    }

    /// Starts a command.
    pub(crate) fn of(command: &mut std::process::Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start bursar");
        let said = Arc::new(Mutex::new(String::new()));
        let (mut stdout, stderr) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        let sink = Arc::clone(&said);
        Self {
            child,
            stdout: Some(std::thread::spawn(move || {
                let mut text = String::new();
                stdout.read_to_string(&mut text).expect("stdout");
                text
            })),
            stderr: Some(std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    sink.lock().expect("what was said").push_str(&(line + "\n"));
                }
            })),
            said,
        }
    }

    /// What it has said on stderr so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("what was said").clone()
    }

    /// Waits until it has said something on stderr.
    pub(crate) async fn says(&self, words: &str) {
        let since = Instant::now();
        while !self.said().contains(words) {
            assert!(since.elapsed() < PATIENCE, "it does not say {words:?}:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("send a signal");
    }

    /// Whether it has not ended.
    pub(crate) fn is_up(&mut self) -> bool {
        self.child.try_wait().expect("look at bursar").is_none()
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ran {
        let since = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("wait for bursar") {
                break status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let stdout = self.stdout.take().expect("stdout").join().expect("stdout");
        self.stderr.take().expect("stderr").join().expect("stderr");
        Ran { code: status.code().unwrap_or(-1), stdout, stderr: self.said() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Holds every load of a customer's table at the row of customer number 1, until it is released.
pub(crate) struct Stall {
    holder: PgConnection,
}

impl Stall {
    /// Takes hold; the table must be there.
    pub(crate) async fn of(world: &World, customer: &str) -> Self {
        let mut holder = world.connect().await;
        let trigger = format!(
            "create or replace function wait_for_the_test() returns trigger language plpgsql as
                $$ begin perform pg_advisory_xact_lock_shared(42); return new; end $$;
             create or replace trigger wait_for_the_test before insert on customer_rating_{customer}
                for each row when (new.customer_number = 1) execute function wait_for_the_test();
             select pg_advisory_lock(42)"
        );
        sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&mut holder).await.expect("put the trigger");
        Self { holder }
    }

    async fn waiting(&mut self) -> Vec<i32> {
        sqlx::query_scalar(
            "select pid from pg_locks where locktype = 'advisory' and objid = 42 and not granted
                and database = (select oid from pg_database where datname = current_database())",
        )
        .fetch_all(&mut self.holder)
        .await
        .expect("look at the locks")
    }

    /// Waits until a load stands still; gives its server process.
    pub(crate) async fn reached(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(pid) = self.waiting().await.first() {
                return *pid;
            }
            assert!(since.elapsed() < PATIENCE, "no load reaches the row that it shall wait at");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Cuts the connection of the load that stands still.
    pub(crate) async fn cut(&mut self) {
        let pid = self.reached().await;
        let is_cut: bool = sqlx::query_scalar("select pg_terminate_backend($1)")
            .bind(pid)
            .fetch_one(&mut self.holder)
            .await
            .expect("cut it");
        assert!(is_cut);
    }

    /// Lets all loads go on, now and from now on, and waits until those that stood still did.
    pub(crate) async fn release(mut self) {
        let free = "select pg_advisory_unlock(42)";
        sqlx::query(free).execute(&mut self.holder).await.expect("let go");
        while !self.waiting().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.holder.close().await.expect("let go");
    }
}

/// Whether the test's database takes connections.
#[derive(Clone, Copy)]
pub(crate) enum Shut {
    /// It does not, and those of the program are cut.
    Closed,
    /// It does.
    Open,
}

impl World {
    /// Shuts the database, as if it were gone, or opens it again.
    pub(crate) async fn shut(&self, shut: Shut) {
        let mut admin = self.admin().await;
        let (database, allowed) = (&self.database, matches!(shut, Shut::Open));
        let alter = format!("alter database {database} with allow_connections {allowed}");
        sqlx::raw_sql(AssertSqlSafe(alter)).execute(&mut admin).await.expect("shut the database");
        if matches!(shut, Shut::Closed) {
            while self.cut(&mut admin).await > 0 {}
        }
    }

    /// Cuts the program's connections, and only those: a test's own may be what a load waits for.
    async fn cut(&self, admin: &mut PgConnection) -> i64 {
        sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
              where datname = $1 and application_name = 'bursar'",
        )
        .bind(&self.database)
        .fetch_one(admin)
        .await
        .expect("cut the connections")
    }
}
