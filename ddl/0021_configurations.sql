-- One configuration per run: what a run was opened under, what each worker has, and what each task needs.

create table bursar.configurations (
    hash      text primary key,
    parts     jsonb not null,
    schedules jsonb not null,
    taken_at  timestamptz not null default clock_timestamp()
);

comment on table bursar.configurations is 'Every configuration that a worker has had, by the hash of what it compiles to.';
comment on column bursar.configurations.parts is 'The hash of each part (customers, settings, each dataset, job and report), so that two configurations can be compared.';
comment on column bursar.configurations.schedules is 'The schedule of each scheduled job, as it was parsed.';
comment on column bursar.configurations.taken_at is 'When a worker first had it, or last changed to it by a reload. Of two that disagree about a schedule the later one decides.';

alter table bursar.runs add column config_hash text not null default '';
alter table bursar.attempts add column config_hash text not null default '';
alter table bursar.task_runs add column needs text[] not null default '{}';

comment on column bursar.runs.config_hash is 'The configuration under which it was opened or last retried. Only workers that have it take its tasks.';
comment on column bursar.attempts.config_hash is 'The configuration under which it was made.';
comment on column bursar.task_runs.needs is 'The credentials without which it cannot be done, by the names of their variables. Only workers that have them take it.';

alter table bursar.workers
    add column config_hash text not null default '',
    add column kept_hashes text[] not null default '{}',
    add column credentials text[] not null default '{}';

comment on column bursar.workers.config_hash is 'The configuration in force in it: runs that it opens carry this hash.';
comment on column bursar.workers.kept_hashes is 'Configurations that were in force in it before, and that it keeps while runs opened under them are open.';
comment on column bursar.workers.credentials is 'The credentials that it was started with, by the names of their variables.';

-- A worker that is up holds a session advisory lock on its id.
create function bursar.is_up(worker text) returns boolean
    language sql stable
    return exists (
        select
          from pg_catalog.pg_locks as l
         where l.locktype = 'advisory'
           and l.granted
           and l.objsubid = 1
           and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = current_database())
           and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('bursar worker ' || worker, 0)
    );

comment on function bursar.is_up(text) is 'Whether the worker with this id is up.';

alter table bursar.alerts
    drop constraint alerts_kind_known,
    add constraint alerts_kind_known check (kind in (
        'run_failed',
        'run_stranded',
        'schedule_conflict',
        'file_late',
        'file_missing',
        'file_changed',
        'file_duplicate',
        'load_held'
    ));

comment on column bursar.alerts.kind is 'run_failed, run_stranded, schedule_conflict, file_late, file_missing, file_changed, file_duplicate or load_held.';
