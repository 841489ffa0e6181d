-- What is done about rejects: written out again, corrected and redriven, discarded.

alter table bursar.file_invalid_rows add column closed_by text;
alter table bursar.file_invalid_rows add column close_reason text;

comment on column bursar.file_invalid_rows.id is 'Its number, by which commands name it and a corrected row is told to be its correction.';
comment on column bursar.file_invalid_rows.created_at is 'When its load was committed, or nearly so.';
comment on column bursar.file_invalid_rows.closed_at is 'Since when its status is not open any more.';
comment on column bursar.file_invalid_rows.closed_by is 'Who closed it, where an operator did: account@host.';
comment on column bursar.file_invalid_rows.close_reason is 'Why an operator closed it, in the operator''s words.';
comment on column bursar.file_invalid_rows.error_class is 'For triage: structure, encoding, type, range, null, length, domain or duplicate; the gravest of the errors.';

alter table bursar.loads add column redrive_of bigint;

comment on column bursar.loads.redrive_of is 'Null for a load of a file. Of a redrive the load of a file whose corrected rejects it added: it stands for both, and its counts are those of the file.';

create table bursar.layouts (
    load_id  bigint primary key,
    encoding text not null,
    mark     bytea not null,
    header   bytea[] not null,
    names    jsonb not null,
    constraint layouts_encoding_known check (encoding in ('utf-8', 'utf-16le', 'utf-16be', 'latin-1', 'windows-1252'))
);

comment on table bursar.layouts is 'How the file of a load with rejects was written, so that its rejects can be written out again as they were.';
comment on column bursar.layouts.load_id is 'The load; bursar.loads.id.';
comment on column bursar.layouts.encoding is 'How its bytes stand for text.';
comment on column bursar.layouts.mark is 'Its byte order mark; empty where it had none.';
comment on column bursar.layouts.header is 'Each record of its header as delivered, line end included; empty where it had none.';
comment on column bursar.layouts.names is 'What the header calls the fields, in their order: an array of texts.';
