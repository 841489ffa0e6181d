-- Rejects come a million at a time and are read a hundred at a time: what is written of each is as little as can be, and
-- the view bursar.file_invalid_rows tells all of it. What is told as JSON is kept as text and read when it is asked for;
-- file, table and time stand in the ledger, once for all rejects of a load; a reject's number is made of its load and its
-- line, by which it is found.

-- What another program is writing now is to be taken along.
lock table bursar.file_invalid_rows in access exclusive mode;

-- A view over a table goes with its columns: whoever made one is to be asked.
do $$
declare
    dependent text;
begin
    select string_agg(distinct seen.oid::regclass::text, ', ') into dependent
      from pg_depend as d
      join pg_rewrite as rule on rule.oid = d.objid and d.classid = 'pg_rewrite'::regclass
      join pg_class as seen on seen.oid = rule.ev_class
     where d.refclassid = 'pg_class'::regclass
       and d.refobjid = 'bursar.file_invalid_rows'::regclass
       and seen.oid <> d.refobjid;
    if dependent is not null then
        raise exception 'bursar.file_invalid_rows becomes a view, and % depends on the table: drop it, migrate, and make it again over the view, which has the same columns', dependent
            using errcode = 'dependent_objects_still_exist';
    end if;
end
$$;

create table bursar.rejects (
    load_id        bigint not null,
    line           bigint not null,
    byte_offset    bigint not null,
    byte_length    bigint not null,
    closed_at      timestamptz,
    closed_by_load bigint,
    raw            bytea not null,
    payload        text not null,
    error_class    text not null,
    errors         text not null,
    status         text not null default 'open',
    closed_by      text,
    close_reason   text,
    constraint rejects_status_known check (status in ('open', 'resolved', 'discarded', 'superseded')),
    constraint rejects_line_fits_the_number check (line between 1 and 9999999999)
);

insert into bursar.rejects (
    load_id, line, byte_offset, byte_length, closed_at, closed_by_load, raw, payload, error_class, errors, status,
    closed_by, close_reason)
select load_id, line, byte_offset, byte_length, closed_at, closed_by_load, raw, payload::text, error_class, errors::text,
       status, closed_by, close_reason
  from bursar.file_invalid_rows
 order by load_id, line;

alter table bursar.rejects add constraint rejects_pkey primary key (load_id, line);

create view bursar.file_invalid_rows_as_kept as
select rejects.load_id * 10000000000 + rejects.line as id,
       rejects.load_id,
       loads.file_name as file,
       loads.table_name,
       rejects.line,
       rejects.byte_offset,
       rejects.byte_length,
       rejects.raw,
       rejects.payload::jsonb as payload,
       rejects.error_class,
       rejects.errors::jsonb as errors,
       rejects.status,
       loads.loaded_at as created_at,
       rejects.closed_at,
       rejects.closed_by_load,
       rejects.closed_by,
       rejects.close_reason
  from bursar.rejects
  left join bursar.loads on loads.id = rejects.load_id;

-- Whoever may read the table, or some of its columns, may read as much of the view.
do $$
declare
    granting text;
begin
    for granting in
        select format('grant select%s on bursar.file_invalid_rows_as_kept to %s%s',
                      granted.columns,
                      case when acl.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end,
                      case when acl.is_grantable then ' with grant option' else '' end)
          from (select '' as columns, relacl as acl
                  from pg_class where oid = 'bursar.file_invalid_rows'::regclass
                 union all
                select format(' (%I)', attname), attacl
                  from pg_attribute where attrelid = 'bursar.file_invalid_rows'::regclass and not attisdropped) as granted,
               aclexplode(granted.acl) as acl
         where acl.privilege_type = 'SELECT' and acl.grantee <> current_user::regrole
    loop
        execute granting;
    end loop;
end
$$;

drop table bursar.file_invalid_rows;
alter view bursar.file_invalid_rows_as_kept rename to file_invalid_rows;

comment on table bursar.rejects is 'Quarantine as it is kept: every row that did not conform. Read bursar.file_invalid_rows, which tells it whole. Never emptied by the program.';
comment on column bursar.rejects.load_id is 'The load that met it; bursar.loads.id. No foreign key: one check for each of a million rejects would cost more than the load.';
comment on column bursar.rejects.line is 'The line it starts on, from 1.';
comment on column bursar.rejects.byte_offset is 'Where its first byte stands in the file, from 0; in the unpacked file where it was compressed, in its own encoding where it is not UTF-8.';
comment on column bursar.rejects.byte_length is 'Its length in bytes, line end included; measured as byte_offset is.';
comment on column bursar.rejects.closed_at is 'Since when its status is not open any more.';
comment on column bursar.rejects.closed_by_load is 'The load that closed it, if one did.';
comment on column bursar.rejects.raw is 'Its bytes in the file''s own encoding; only the first dialect.max_record_bytes (of UTF-8) of a record that is longer.';
comment on column bursar.rejects.payload is 'JSON: header to text, as far as the record could be taken apart; unreadable bytes show as U+FFFD.';
comment on column bursar.rejects.error_class is 'For triage: structure, encoding, type, range, null, length, domain or duplicate; the gravest of the errors.';
comment on column bursar.rejects.errors is 'JSON: every error: [{"column", "code", "message"}]; column is null when the record as a whole is at fault.';
comment on column bursar.rejects.status is 'open; resolved: a corrected row was loaded; discarded: an operator let it go; superseded: the same day was loaded again.';
comment on column bursar.rejects.closed_by is 'Who closed it, where an operator did: account@host.';
comment on column bursar.rejects.close_reason is 'Why an operator closed it, in the operator''s words.';

comment on view bursar.file_invalid_rows is 'Quarantine: every row that did not conform, with its bytes and every reason.';
comment on column bursar.file_invalid_rows.id is 'Its number, by which commands name it and a corrected row is told to be its correction: load_id * 10000000000 + line.';
comment on column bursar.file_invalid_rows.created_at is 'When its load was committed, or nearly so.';
comment on column bursar.file_invalid_rows.file is 'The file''s name; bursar.loads.file_name.';
comment on column bursar.file_invalid_rows.table_name is 'The table the row was meant for; bursar.loads.table_name.';
comment on column bursar.file_invalid_rows.payload is 'Header to text, as far as the record could be taken apart; unreadable bytes show as U+FFFD.';
comment on column bursar.file_invalid_rows.errors is 'Every error: [{"column", "code", "message"}]; column is null when the record as a whole is at fault.';
