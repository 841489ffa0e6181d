-- Daemons dispatch by the database's clock; one whose own is wrong is known by this.

alter table bursar.workers add column clock_skew_s double precision not null default 0;
comment on column bursar.workers.clock_skew_s is 'How far the clock of the worker''s machine is ahead of the database''s, in seconds; negative if it is behind.';

alter table bursar.alerts drop constraint alerts_kind_known;
alter table bursar.alerts add constraint alerts_kind_known check (kind in (
    'run_failed',
    'run_stranded',
    'schedule_conflict',
    'occurrence_skipped',
    'clock_skew',
    'file_late',
    'file_missing',
    'file_changed',
    'file_duplicate',
    'file_refused',
    'load_held',
    'load_measured'
));
comment on column bursar.alerts.kind is 'run_failed, run_stranded, schedule_conflict, occurrence_skipped, clock_skew, file_late, file_missing, file_changed, file_duplicate, file_refused, load_held or load_measured.';

-- Lists stay as fast as they are after years: what is rare is found by an index, and a run's tasks are counted once.

drop index bursar.loads_held;
create index loads_by_state on bursar.loads (state, id) where state <> 'published';

alter table bursar.runs add column tasks integer not null default 0;
update bursar.runs as r set tasks = (select count(*) from bursar.task_runs as t where t.run_id = r.id);
create index runs_by_opening on bursar.runs (opened_at, id);
comment on column bursar.runs.tasks is 'How many tasks it has, each counted once for each item.';
