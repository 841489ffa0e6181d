-- What is to be delivered, until when, and what became of it.

alter table bursar.loads add column file_modified_at timestamptz;
alter table bursar.schedules add column looked_at timestamptz;

create index loads_by_file on bursar.loads (dataset, customer, file_name, file_modified_at);

comment on column bursar.loads.file_modified_at is 'When the file''s bytes were last changed, by its own account (mtime, in whole microseconds).';

comment on column bursar.schedules.looked_at is 'When somebody last looked for the job''s files, to the minute: what was due by then and is not in bursar.deliveries was not expected.';

create table bursar.deliveries (
    dataset          text not null,
    customer         text not null,
    run_date         date not null,
    job              text not null,
    state            text not null,
    deadline         timestamptz not null,
    window_end       timestamptz not null,
    changes_until    timestamptz not null,
    file_path        text,
    file_bytes       bigint,
    file_modified_at timestamptz,
    file_sha256      text,
    arrived_at       timestamptz,
    load_id          bigint,
    run_id           uuid,
    note             text,
    updated_at       timestamptz not null,
    constraint deliveries_pkey primary key (dataset, customer, run_date),
    constraint deliveries_state_known check (
        state in ('expected', 'arrived', 'late', 'missing', 'not_expected', 'duplicate', 'changed')),
    constraint deliveries_window_after_deadline check (window_end >= deadline),
    constraint deliveries_arrived_when_there check (
        (state in ('arrived', 'late', 'duplicate', 'changed')) = (arrived_at is not null))
);

create index deliveries_expected on bursar.deliveries (deadline) where state = 'expected';
create index deliveries_watched on bursar.deliveries (greatest(window_end, changes_until)) where state not in ('expected', 'not_expected');
create index deliveries_by_date on bursar.deliveries (run_date);

comment on table bursar.deliveries is 'Each file that a customer is to deliver for a run date, and what became of it.';
comment on column bursar.deliveries.dataset is 'The kind of file.';
comment on column bursar.deliveries.customer is 'Who delivers it.';
comment on column bursar.deliveries.run_date is 'The business day it is for.';
comment on column bursar.deliveries.job is 'The job that loads it.';
comment on column bursar.deliveries.state is 'expected; arrived in time; missing: the deadline has passed; late: came after it; not_expected: the calendar is closed; duplicate: its bytes are those of an earlier run date; changed: not what was loaded any more.';
comment on column bursar.deliveries.deadline is 'Until when it is to be there.';
comment on column bursar.deliveries.window_end is 'Until when a late file is still loaded.';
comment on column bursar.deliveries.changes_until is 'Until when a change of a loaded file is looked for: the beginning of the next day on which a file is expected.';
comment on column bursar.deliveries.file_path is 'Its path within the inbox, once it is there.';
comment on column bursar.deliveries.file_bytes is 'Its size in bytes, as it was loaded or, before that and after a change, as it was seen.';
comment on column bursar.deliveries.file_modified_at is 'When its bytes were last changed, by its own account; as file_bytes.';
comment on column bursar.deliveries.file_sha256 is 'The SHA-256 in hexadecimal of the bytes that were loaded.';
comment on column bursar.deliveries.arrived_at is 'Since when it was there and complete; never later than it was seen.';
comment on column bursar.deliveries.load_id is 'The load that took it in last; bursar.loads.id.';
comment on column bursar.deliveries.run_id is 'The run of that load; bursar.runs.id.';
comment on column bursar.deliveries.note is 'Why the state is what it is, for people.';
comment on column bursar.deliveries.updated_at is 'When the state last changed.';
