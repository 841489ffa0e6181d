-- The engine: runs that any number of daemons work on, task by task, and every attempt at a task.
-- docs/engine.md draws the states.

-- What the engine before this one had under way can't be taken over: it is closed, and its occurrences are run again.
update bursar.occurrences
   set state = 'queued', run_id = null
 where state = 'ran' and run_id in (select id from bursar.runs where state = 'running');
update bursar.task_runs
   set state = 'cancelled', ended_at = now(), error = 'the program was updated before the task was over'
 where state in ('waiting', 'running');
update bursar.runs
   set state = 'abandoned', closed_at = now(), error = 'the program was updated before the run was over'
 where state = 'running';

-- Runs -----------------------------------------------------------------------------------------

alter table bursar.runs
    add column plan               jsonb not null default '[]',
    add column priority           integer not null default 0,
    add column publish            boolean not null default false,
    add column max_parallel_tasks integer,
    drop constraint runs_trigger_known,
    add constraint runs_trigger_known check (trigger in ('schedule', 'operator', 'backfill'));

create index runs_open on bursar.runs (opened_at) where state = 'running';

comment on column bursar.runs.trigger is 'schedule: an occurrence fell due. operator: somebody said run-job. backfill: somebody asked for a range of run dates.';
comment on column bursar.runs.state is 'running; succeeded: every task did; failed: at least one did not; cancelled: an operator said so. A retry opens a failed or cancelled run again. abandoned: its process died, in an earlier version of the program.';
comment on column bursar.runs.plan is 'The job''s tasks as they were when the run was opened: what is worked on does not change with the configuration.';
comment on column bursar.runs.priority is 'Whose tasks are delivered first, the greatest: operator 30, schedule 20, backfill 10.';
comment on column bursar.runs.publish is 'Whether this run date may take the place of a newer one that readers see.';
comment on column bursar.runs.max_parallel_tasks is 'The job''s own limit of tasks under way, over all its runs and all daemons; null: none.';
comment on column bursar.runs.host is 'The machine it was opened on.';
comment on column bursar.runs.pid is 'The process that opened it.';

-- Task runs ------------------------------------------------------------------------------------

alter table bursar.task_runs
    add column position   integer not null default 0,
    add column ready_at   timestamptz,
    add column wake_key   text,
    add column offer      integer not null default 0,
    add column offered_at timestamptz,
    add column failures   integer not null default 0,
    add column losses     integer not null default 0,
    add column worker     text,
    drop constraint task_runs_state_known,
    add constraint task_runs_state_known
        check (state in ('waiting', 'ready', 'running', 'deferred', 'succeeded', 'failed', 'skipped', 'cancelled')),
    add constraint task_runs_ready_since check (state not in ('ready', 'deferred') or ready_at is not null),
    add constraint task_runs_running_somewhere check (state <> 'running' or worker is not null);

create index task_runs_unoffered on bursar.task_runs (ready_at) where state = 'ready' and offered_at is null;
create index task_runs_open on bursar.task_runs (run_id, task) where state in ('waiting', 'ready', 'running', 'deferred');
create index task_runs_under_way on bursar.task_runs (state, worker) where state in ('ready', 'running');
create index task_runs_deferred on bursar.task_runs (wake_key) where state = 'deferred';

comment on column bursar.task_runs.state is 'waiting for upstreams; ready to be delivered; running; deferred: waits for something outside (a file) and occupies no worker; succeeded; failed; skipped: an upstream failed, or there is nothing to do yet; cancelled by an operator.';
comment on column bursar.task_runs.attempt is 'How often it was begun. It is the fence: what an attempt does takes effect only while this is its number.';
comment on column bursar.task_runs.position is 'Its place in the plan, from 0.';
comment on column bursar.task_runs.ready_at is 'ready: not to be begun before. deferred: looked at again then at the latest.';
comment on column bursar.task_runs.wake_key is 'What a deferred task waits for, such as file DATASET/CUSTOMER/DATE.';
comment on column bursar.task_runs.offer is 'Counts how often it was put into the queue; a message of an earlier offer is void.';
comment on column bursar.task_runs.offered_at is 'Since when its present offer lies in the queue; null: it is not there.';
comment on column bursar.task_runs.failures is 'Attempts that ended in a transient fault; the retry policy counts these and no others.';
comment on column bursar.task_runs.losses is 'Attempts whose worker died or fell silent; five of them fail the task.';
comment on column bursar.task_runs.worker is 'Who works on it or did last: bursar.workers.id.';

-- Attempts -------------------------------------------------------------------------------------

create table bursar.attempts (
    run_id     uuid not null,
    task       text not null,
    item       text not null,
    attempt    integer not null,
    worker     text not null,
    state      text not null default 'running',
    fault      text,
    error      text,
    started_at timestamptz not null default now(),
    ended_at   timestamptz,
    constraint attempts_pkey primary key (run_id, task, item, attempt),
    constraint attempts_of_task foreign key (run_id, task, item) references bursar.task_runs (run_id, task, item),
    constraint attempts_state_known
        check (state in ('running', 'succeeded', 'failed', 'skipped', 'cancelled', 'deferred', 'handed_back', 'lost')),
    constraint attempts_ended_when_over check ((state = 'running') = (ended_at is null))
);

comment on table bursar.attempts is 'Every attempt at a task, with what became of it.';
comment on column bursar.attempts.attempt is 'From 1; bursar.task_runs.attempt when it began.';
comment on column bursar.attempts.worker is 'Who made it.';
comment on column bursar.attempts.state is 'running; succeeded; failed; skipped; cancelled; deferred: found that it must wait; handed_back: the daemon was stopped; lost: its worker died or fell silent.';
comment on column bursar.attempts.fault is 'The class of a failure; a transient one is tried again while the retry policy allows.';

-- Workers --------------------------------------------------------------------------------------

create table bursar.workers (
    id                  text primary key,
    role                text not null,
    host                text not null,
    pid                 integer not null,
    started_at          timestamptz not null default now(),
    stopped_at          timestamptz,
    config_loaded_at    timestamptz not null default now(),
    config_error        text,
    reload_requested_at timestamptz,
    constraint workers_role_known check (role in ('serve', 'run-job'))
);

create index workers_up on bursar.workers (started_at) where stopped_at is null;

comment on table bursar.workers is 'The processes that work on tasks. One that is alive holds the session advisory lock "bursar worker ID".';
comment on column bursar.workers.role is 'serve: a daemon. run-job: somebody''s command, which helps while it waits for its run.';
comment on column bursar.workers.stopped_at is 'When it stopped, or was found dead.';
comment on column bursar.workers.config_loaded_at is 'When it last looked at its configuration because it was told to, or started.';
comment on column bursar.workers.config_error is 'Why it kept the configuration it had.';
comment on column bursar.workers.reload_requested_at is 'When it was last told to read its configuration again.';
