-- Files are known by their bytes: what is loaded already, what is stale, what is another customer's. What a control
-- total stated. Where a loaded file went.

alter table bursar.runs add column force boolean not null default false;
alter table bursar.loads add column definition text;
alter table bursar.loads add column misdelivery_of bigint;
alter table bursar.loads add column warnings jsonb not null default '[]';
alter table bursar.loads add column control jsonb;

comment on column bursar.runs.force is 'Whether a file is loaded again of which nothing has changed (run-job --force).';
comment on column bursar.loads.definition is 'The SHA-256 of what the dataset''s configuration said of reading and judging its files, and of the program''s version: another one would read the same bytes otherwise. Null for loads before this was kept.';
comment on column bursar.loads.misdelivery_of is 'Of a load that is held because its bytes were delivered under another customer''s name before: that load''s id.';
comment on column bursar.loads.warnings is 'What an operator should know of a load that was not held for it (stale bytes): an array of sentences.';
comment on column bursar.loads.control is 'What control totals stated and what was found: {"from", "file", "checks": [{"name", "stated", "found", "agrees"}]}, also where they agree. Null where the dataset declares none.';

alter table bursar.loads add column archive_state text;
alter table bursar.loads add column archive jsonb;
alter table bursar.loads add constraint loads_archive_state_known check (archive_state in ('pending', 'archived', 'left'));

create index loads_to_archive on bursar.loads (id) where archive_state = 'pending';

comment on column bursar.loads.archive_state is 'Where the dataset archives its files: pending: to be moved; archived: moved; left: it was not there any more, or not the same. Null where it is left in any case, and for a held load.';
comment on column bursar.loads.archive is 'Paths within the inbox: {"from", "to", "beside": names of the marker and the sidecar beside it, "note": why it was left}; of a held load what is to be moved once it is accepted. "to" is where it lies once it is archived.';
