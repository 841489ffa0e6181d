-- Refused files: what was delivered, found and not loaded because of what it contains.

create table bursar.refused_files (
    id               bigint primary key,
    run_id           uuid not null,
    dataset          text not null,
    customer         text not null,
    run_date         date not null,
    file_path        text not null,
    file_name        text not null,
    file_bytes       bigint,
    file_modified_at timestamptz,
    file_sha256      text,
    error            text not null,
    refused_at       timestamptz not null default now()
);

create index refused_files_by_customer on bursar.refused_files (dataset, customer, run_date);
create index refused_files_by_run on bursar.refused_files (run_id);
create index refused_files_by_hash on bursar.refused_files (file_sha256);

comment on table bursar.refused_files is 'Files that were found and refused (a wrong header, an unreadable encoding): nothing of them was loaded. Written in the transaction that recorded the failure of the load.';
comment on column bursar.refused_files.id is 'The id, from the sequence of bursar.loads: an id names one load or one refused file.';
comment on column bursar.refused_files.run_id is 'The run whose load refused the file; bursar.runs.id.';
comment on column bursar.refused_files.dataset is 'The dataset that the file was read as.';
comment on column bursar.refused_files.customer is 'The customer who delivered it.';
comment on column bursar.refused_files.run_date is 'The business day it was delivered for.';
comment on column bursar.refused_files.file_path is 'The path at which it was found.';
comment on column bursar.refused_files.file_name is 'Its name alone.';
comment on column bursar.refused_files.file_bytes is 'Its size in bytes; null if it could not be read to its end.';
comment on column bursar.refused_files.file_modified_at is 'The modification time of the file; null if it could not be read to its end.';
comment on column bursar.refused_files.file_sha256 is 'The SHA-256 of its bytes in hexadecimal; null if it could not be read to its end.';
comment on column bursar.refused_files.error is 'Why it was refused.';
comment on column bursar.refused_files.refused_at is 'When it was refused.';

alter table bursar.deliveries add column refused_id bigint;

comment on column bursar.deliveries.refused_id is 'The refusal of the delivery''s present file (bursar.refused_files.id); null once a file was loaded.';
comment on column bursar.deliveries.file_sha256 is 'The SHA-256 in hexadecimal of the file that was loaded or refused last.';
comment on column bursar.deliveries.state is 'expected; arrived in time; missing: the deadline has passed; late: came after it; not_expected: the calendar is closed; duplicate: its bytes are those of an earlier run date; changed: the file is no longer the one that was loaded or refused.';

alter table bursar.alerts drop constraint alerts_kind_known;
alter table bursar.alerts add constraint alerts_kind_known check (kind in (
    'run_failed',
    'run_stranded',
    'schedule_conflict',
    'file_late',
    'file_missing',
    'file_changed',
    'file_duplicate',
    'file_refused',
    'load_held'
));
comment on column bursar.alerts.kind is 'run_failed, run_stranded, schedule_conflict, file_late, file_missing, file_changed, file_duplicate, file_refused or load_held.';
