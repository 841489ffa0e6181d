//! Brings a charge forward, step by step: each is decided from the stored row alone, so it does not matter who made the
//! one before, or whether he lived to see what became of it.

use super::invoice;
use super::machine::Machine;
use super::mail;
use super::outbox::{self, By, Change, Row, State};
use super::rutter::Told;
use super::verdict::{Answer, Verdict};
use crate::config::Rutter as Section;
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use tracing::{error, info, warn};
use uuid::Uuid;

/// How long to wait after something that an operator must mend, in seconds.
const BLOCKED_S: i64 = 300;

/// The longest wait between two polls, in seconds.
const LONGEST_POLL_S: i64 = 60;

/// The longest wait before a request is sent again, in seconds.
const LONGEST_SEND_S: i64 = 300;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send the request with its key.
    Send,
    /// Ask for the job.
    Poll,
    /// Whoever sent the request did not live to see the answer.
    Lost,
    /// Take a new key: a rule says so.
    NewKey,
    /// The key, or the job, is too old to tell anything.
    GiveUp,
    /// Nothing before then.
    Wait(DateTime<Utc>),
    /// Nothing by itself.
    Rest,
}

/// Decides what is to be done with a row by whoever has its turn.
pub(super) fn next(row: &Row, section: &Section, now: DateTime<Utc>) -> Step {
    if row.needs_operator {
        return Step::Rest;
    }
    match row.state {
        State::Succeeded => return Step::Rest,
        State::Failed => return after_failure(row, section),
        State::Sent => return Step::Lost,
        State::Pending | State::Accepted | State::Uncertain => {}
    }
    if let Some(at) = row.next_at.filter(|at| *at > now) {
        return Step::Wait(at);
    }
    let age_s = row.first_sent_at.map_or(0, |at| (now - at).num_seconds());
    let is_within = |bound: u64| age_s < i64::try_from(bound).unwrap_or(i64::MAX);
    match (row.state, &row.rutter_job_id) {
        (State::Pending, _) => Step::Send,
        (_, Some(_)) if is_within(section.poll_for_s) => Step::Poll,
        (State::Uncertain, None) if is_within(section.key_life_s) => Step::Send,
        _ => Step::GiveUp,
    }
}

fn after_failure(row: &Row, section: &Section) -> Step {
    let is_named = row.error_code.as_ref().is_some_and(|code| section.new_key_for.contains(code));
    let has_left = u32::try_from(row.attempt).is_ok_and(|attempt| attempt < section.attempts);
    if row.is_accepted && is_named && has_left { Step::NewKey } else { Step::Rest }
}

/// Brings a charge forward until it is settled, or nothing can be done before `until`. Where somebody else has its turn,
/// nothing is done.
pub(super) async fn drive(machine: &Machine, charge: Uuid, by: By, until: DateTime<Utc>) -> anyhow::Result<()> {
    let Some(turn) = machine.turns.take(charge).await? else { return Ok(()) };
    while let Some(row) = outbox::find(&machine.pool, charge).await? {
        let now = machine.clock.now();
        match next(&row, &machine.settings.file.charges.rutter, now) {
            Step::Send => send(machine, &row, by).await?,
            Step::Poll => poll(machine, &row, by).await?,
            Step::Lost => lost(machine, &row, by).await?,
            Step::GiveUp => give_up(machine, &row, by).await?,
            Step::NewKey => new_key(machine, &row, by).await?,
            Step::Wait(at) if at <= until => wait(machine, at - now).await,
            Step::Wait(_) | Step::Rest => break,
        }
    }
    mail::deliver(machine, charge).await?;
    drop(turn);
    machine.bell.notify_waiters();
    Ok(())
}

/// Waits, unless somebody else learns something meanwhile.
async fn wait(machine: &Machine, time: TimeDelta) {
    let time = time.to_std().unwrap_or_default();
    tokio::select! {
        () = machine.clock.sleep(time) => {}
        () = machine.bell.notified() => {}
    }
}

async fn send(machine: &Machine, row: &Row, by: By) -> anyhow::Result<()> {
    let rutter = machine.rutter()?;
    // Committed before the first byte leaves.
    if !outbox::sending(&machine.pool, row, by, machine.clock.now()).await? {
        return Ok(());
    }
    let told = rutter.create(row.idempotency_key, row.request.clone()).await;
    let is_first = row.state == State::Pending;
    let row = Row { state: if is_first { State::Sent } else { row.state }, sends: row.sends + 1, ..row.clone() };
    // What was not taken is as if it had not been sent, unless an earlier one may have been.
    let before = if is_first { State::Pending } else { State::Uncertain };
    match told {
        Told::Unsent(error) => {
            let answer = Answer { error, ..Answer::default() };
            let next_at = machine.clock.now() + backoff(row.sends, LONGEST_SEND_S);
            record(machine, &row, change(machine, before, answer, Some(next_at), by)).await
        }
        Told::Answer(verdict, answer) => settle(machine, &row, before, verdict, answer, by, 0).await,
    }
}

async fn poll(machine: &Machine, row: &Row, by: By) -> anyhow::Result<()> {
    let job = row.rutter_job_id.as_deref().unwrap_or_default();
    match machine.rutter()?.job(job).await {
        Told::Unsent(error) => {
            let answer = Answer { error, ..Answer::default() };
            let next_at = machine.clock.now() + backoff(row.polls + 1, LONGEST_POLL_S);
            let changed = change(machine, row.state, answer, Some(next_at), by);
            record(machine, row, Change { polls: 1, ..changed }).await
        }
        Told::Answer(verdict, mut answer) => {
            // A job keeps the name it was asked for by.
            answer.job = None;
            settle(machine, row, row.state, verdict, answer, by, 1).await
        }
    }
}

/// Records what an answer means. `before` is the state of a request that was not taken.
pub(super) async fn settle(
    machine: &Machine,
    row: &Row,
    before: State,
    verdict: Verdict,
    answer: Answer,
    by: By,
    polls: i32,
) -> anyhow::Result<()> {
    let now = machine.clock.now();
    let resend = backoff(row.sends, LONGEST_SEND_S);
    let made = |state, answer, delay: Option<TimeDelta>| Change {
        polls,
        ..change(machine, state, answer, delay.map(|delay| now + delay), by)
    };
    let changed = match verdict {
        Verdict::Made(invoice) => return succeed(machine, row, &invoice, made(State::Succeeded, answer, None)).await,
        Verdict::Accepted => made(State::Accepted, answer, Some(backoff(row.polls + polls, LONGEST_POLL_S) / 2)),
        Verdict::Refused { is_accepted } => {
            warn!("charge {}: the accounting API made no invoice: {}", row.charge_id, answer.error);
            Change { is_accepted, ..made(State::Failed, answer, None) }
        }
        Verdict::Blocked => {
            error!("charge {}: the accounting API does not take requests: {}", row.charge_id, answer.error);
            made(before, answer, Some(TimeDelta::seconds(BLOCKED_S)))
        }
        Verdict::Busy(asked) => {
            let asked = asked.and_then(|asked| TimeDelta::from_std(asked).ok());
            made(before, answer, Some(asked.unwrap_or(resend)))
        }
        Verdict::Unknown => made(State::Uncertain, told(answer), Some(resend)),
        Verdict::NoJob => Change { forgets_job: true, ..made(State::Uncertain, told(answer), Some(resend)) },
        Verdict::Stuck => {
            error!("charge {}: it is not known whether there is an invoice: {}", row.charge_id, answer.error);
            Change { needs_operator: true, ..made(State::Uncertain, told(answer), None) }
        }
    };
    record(machine, row, changed).await
}

/// What is uncertain says why.
fn told(mut answer: Answer) -> Answer {
    if answer.error.is_empty() {
        "the answer does not tell what became of the request".clone_into(&mut answer.error);
    }
    answer
}

fn change(machine: &Machine, state: State, answer: Answer, next_at: Option<DateTime<Utc>>, by: By) -> Change {
    let (now, answer) = (machine.clock.now(), if state == State::Uncertain { told(answer) } else { answer });
    Change { state, answer, is_accepted: false, needs_operator: false, forgets_job: false, polls: 0, next_at, by, now }
}

/// 1 s, 2 s, 4 s … up to `bound_s`, less up to a quarter by chance.
fn backoff(times: i32, bound_s: i64) -> TimeDelta {
    let doublings = u32::try_from(times.clamp(1, 16) - 1).unwrap_or(0);
    let longest_ms = (1_i64 << doublings).min(bound_s) * 1000;
    TimeDelta::milliseconds(longest_ms - fastrand::i64(0..=longest_ms / 4))
}

async fn record(machine: &Machine, row: &Row, change: Change) -> anyhow::Result<()> {
    let mut connection = machine.pool.acquire().await.context("record what became of a request")?;
    if outbox::record(&mut connection, row, &change).await? && change.state != row.state {
        info!("charge {}: {} (attempt {})", row.charge_id, word(change.state), row.attempt);
    }
    Ok(())
}

const fn word(state: State) -> &'static str {
    match state {
        State::Pending => "is to be sent again",
        State::Sent => "is sent",
        State::Accepted => "a job makes its invoice",
        State::Succeeded => "has its invoice",
        State::Failed => "gets no invoice",
        State::Uncertain => "nobody knows yet whether it has an invoice",
    }
}

/// The invoice and the end of the charge's story are stored together.
async fn succeed(
    machine: &Machine,
    row: &Row,
    made: &super::verdict::RutterInvoice,
    change: Change,
) -> anyhow::Result<()> {
    let mut transaction = machine.pool.begin().await.context("store an invoice")?;
    if outbox::record(&mut transaction, row, &change).await? {
        invoice::store(&mut transaction, row, made, change.now).await?;
        transaction.commit().await.context("store an invoice")?;
        info!("charge {}: has its invoice {} (attempt {})", row.charge_id, made.id, row.attempt);
        machine.bell.notify_waiters();
    }
    Ok(())
}

async fn lost(machine: &Machine, row: &Row, by: By) -> anyhow::Result<()> {
    let error = "the program stopped before the answer came".to_owned();
    let answer = Answer { error, ..Answer::default() };
    // Once may be chance; what breaks off again and again is not to be repeated without pause.
    let pause = if row.sends > 2 { backoff(row.sends, LONGEST_SEND_S) } else { TimeDelta::zero() };
    record(machine, row, change(machine, State::Uncertain, answer, Some(machine.clock.now() + pause), by)).await
}

async fn give_up(machine: &Machine, row: &Row, by: By) -> anyhow::Result<()> {
    let why = match &row.rutter_job_id {
        Some(job) => format!("the job {job} was not done within charges.rutter.poll_for_s"),
        None => "the outcome was not known within charges.rutter.key_life_s, and the key may be forgotten".to_owned(),
    };
    error!("charge {}: {why}; an operator must look whether there is an invoice", row.charge_id);
    let last = row.error.as_ref().map_or_else(String::new, |error| format!("; the last that was heard: {error}"));
    let answer = Answer { error: why + &last, status: row.response_status, ..Answer::default() };
    let change = change(machine, State::Uncertain, answer, None, by);
    record(machine, row, Change { needs_operator: true, ..change }).await
}

async fn new_key(machine: &Machine, row: &Row, by: By) -> anyhow::Result<()> {
    let mut connection = machine.pool.acquire().await.context("take a new key")?;
    if outbox::again(&mut connection, row, None, by, machine.clock.now()).await? {
        let code = row.error_code.as_deref().unwrap_or_default();
        info!("charge {}: a new key after {code}, as charges.rutter.new_key_for says", row.charge_id);
    }
    Ok(())
}
