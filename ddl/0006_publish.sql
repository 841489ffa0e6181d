-- How loads get in front of readers, and rows that wait for an operator's word.

create schema if not exists bursar_staged;

comment on schema bursar_staged is 'Rows that no reader looks for here: of loads under way, of held loads (load_ID), and the segments behind tables of datasets with publish = "segments" (load_ID_N).';

alter table bursar.loads
    add column publication     bigint,
    add column way             text,
    add column way_reason      text,
    add column streams         integer not null default 1,
    add column lock_waited_ms  bigint,
    add column lock_held_ms    bigint,
    add column inserted        bigint,
    add column updated         bigint,
    add column unchanged       bigint,
    add column decision        text,
    add column decision_reason text,
    add column decided_by      text,
    add column decided_at      timestamptz,
    drop constraint loads_state_known;

update bursar.loads set publication = id, way = 'truncate' where state = 'published';

alter table bursar.loads
    add constraint loads_state_known check (state in ('published', 'measured', 'held', 'discarded')),
    add constraint loads_publication_when_published check ((state = 'published') = (publication is not null)),
    add constraint loads_way_known check (way in ('truncate', 'swap', 'segments', 'merge', 'append')),
    add constraint loads_decision_known check (decision in ('accepted', 'discarded')),
    add constraint loads_decided_with_reason check (
        (decision is null) = (decision_reason is null) and (decision is null) = (decided_at is null));

create index loads_by_publication on bursar.loads (dataset, customer, publication) where publication is not null;
create index loads_held on bursar.loads (id) where state = 'held';

comment on column bursar.loads.state is 'published: readers see (or saw) its rows. measured: loaded beside the table, which holds a newer run date. held: a gate said no. discarded: an operator let a held load go.';
comment on column bursar.loads.publication is 'Which publication it was, greatest last; a held load that was accepted is a later one than its id says. Null where it was not published.';
comment on column bursar.loads.way is 'How its rows got into the table: truncate and COPY, swap (a twin took the table''s name), segments (put behind the table), merge by key, append.';
comment on column bursar.loads.way_reason is 'Why publish = "auto" did not swap, or what was configured could not be done.';
comment on column bursar.loads.streams is 'How many connections its rows went over.';
comment on column bursar.loads.lock_waited_ms is 'How long it waited until readers let go of the table, in milliseconds.';
comment on column bursar.loads.lock_held_ms is 'How long readers had to wait for it, until just before the commit, in milliseconds.';
comment on column bursar.loads.inserted is 'merge: rows whose key was new.';
comment on column bursar.loads.updated is 'merge: rows that changed.';
comment on column bursar.loads.unchanged is 'merge: rows that were there as they are.';
comment on column bursar.loads.decision is 'What an operator decided about a held load.';
comment on column bursar.loads.decision_reason is 'Why, in the operator''s words.';
comment on column bursar.loads.decided_by is 'Who decided, by the name of the account.';
comment on column bursar.loads.decided_at is 'When it was decided.';
