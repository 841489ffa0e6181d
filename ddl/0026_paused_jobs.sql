-- Jobs that an operator has paused.

create table bursar.paused_jobs (
    job       text primary key,
    paused_at timestamptz not null,
    paused_by text not null,
    reason    text
);

comment on table bursar.paused_jobs is 'Jobs that are not run when they are due, until an operator resumes them. What is due meanwhile is recorded as skipped.';
comment on column bursar.paused_jobs.paused_by is 'Who paused it.';
comment on column bursar.paused_jobs.reason is 'Why, in the operator''s words.';
