-- Occurrences that were not run are alerted; what overlaps is judged by whether a run was opened again.

alter table bursar.occurrences
    add column cause text,
    add column is_alerted boolean not null default false,
    add constraint occurrences_cause_known check (cause in ('missed', 'overlap', 'paused'));

create index occurrences_alerted on bursar.occurrences (recorded_at) where is_alerted;

comment on column bursar.occurrences.cause is 'Why it was skipped or coalesced: missed (see catchup), overlap, or paused; null if it was not.';
comment on column bursar.occurrences.is_alerted is 'Whether an alert is raised while no run of its run date that was opened later has succeeded.';

alter table bursar.runs add column reopened_at timestamptz;

comment on column bursar.runs.reopened_at is 'When it was last opened again, for a retry or a late file; null: never.';

alter table bursar.alerts drop constraint alerts_kind_known;
alter table bursar.alerts add constraint alerts_kind_known check (kind in (
    'run_failed',
    'run_stranded',
    'schedule_conflict',
    'occurrence_skipped',
    'file_late',
    'file_missing',
    'file_changed',
    'file_duplicate',
    'file_refused',
    'load_held',
    'load_measured'
));
comment on column bursar.alerts.kind is 'run_failed, run_stranded, schedule_conflict, occurrence_skipped, file_late, file_missing, file_changed, file_duplicate, file_refused, load_held or load_measured.';
