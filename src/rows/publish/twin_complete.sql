-- Statements that give the table $2 what $1 has, once its rows are there: indexes, constraints, owner, grants. Its
-- indexes are called after it ($4, and the number of the index they stand for): other tables beside it have the same.
-- What the server says of such an index is meant for the one it stands for (part, stands_for).
with old as (
    select c.oid, c.relreplident, c.relowner, c.relname, n.nspname,
           coalesce(c.relacl, acldefault('r', c.relowner)) as items
      from pg_class as c
      join pg_namespace as n on n.oid = c.relnamespace
     where c.oid = $1::regclass),
indexes as (
    select i.*, format('%s_%s', $4, i.indexrelid) as relname, x.relname::text as own_name,
           k.oid as constraint_oid, k.contype, k.condeferrable, k.condeferred,
           coalesce((select s.spcname::text from pg_tablespace as s where s.oid = x.reltablespace), '') as tablespace,
           -- What comes behind `create index NAME on TABLE using`.
           substr(pg_get_indexdef(i.indexrelid),
                  length(format('CREATE %sINDEX %I ON %I.%I USING ', case when i.indisunique then 'UNIQUE ' end,
                                x.relname::text, old.nspname, old.relname)) + 1) as form
      from old
      join pg_index as i on i.indrelid = old.oid
      join pg_class as x on x.oid = i.indexrelid
      left join pg_constraint as k on k.conindid = i.indexrelid and k.conrelid = old.oid and k.contype in ('p', 'u', 'x')),
-- Whether the owner's own privileges are others than those that the new table's have by default.
of_owner as (
    select (select array_agg(a.privilege_type order by a.privilege_type)
              from aclexplode(old.items) as a
             where a.grantee = old.relowner)
           is distinct from
           (select array_agg(a.privilege_type order by a.privilege_type)
              from pg_class as c
             cross join lateral aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) as a
             where c.oid = $2::regclass and a.grantee = c.relowner) as differ
      from old)
select statement, part, stands_for
  from (
        select 1 as place, relname::text as name,
               format('set local default_tablespace = %L; ', tablespace)
               || case when indisexclusion
                       then format('alter table %s add constraint %I %s', $2, relname, pg_get_constraintdef(constraint_oid))
                       else format('create %sindex %I on %s using %s', case when indisunique then 'unique ' end, relname, $2, form)
                  end as statement,
               relname::text as part, own_name as stands_for
          from indexes
         union all
        select 2, relname, format('alter table %s add constraint %I %s using index %I%s%s', $2, relname,
                                  case contype when 'p' then 'primary key' else 'unique' end, relname,
                                  case when condeferrable then ' deferrable' end,
                                  case when condeferred then ' initially deferred' end), null, null
          from indexes
         where contype in ('p', 'u') and not indisexclusion
         union all
        select 3, relname, format('alter index %I.%I alter column %s set statistics %s', $3, relname, a.attnum, a.attstattarget), null, null
          from indexes
          join pg_attribute as a on a.attrelid = indexrelid
         where a.attstattarget >= 0
         union all
        select 4, relname, format('comment on index %s.%I is %L', $3, relname, obj_description(indexrelid, 'pg_class')), null, null
          from indexes
         where obj_description(indexrelid, 'pg_class') is not null
         union all
        select 5, relname, format('alter table %s cluster on %I', $2, relname), null, null from indexes where indisclustered
         union all
        select 6, '', format('alter table %s replica identity %s', $2,
                             case relreplident when 'f' then 'full' when 'n' then 'nothing'
                                  else (select 'using index ' || quote_ident(relname) from indexes where indisreplident) end), null, null
          from old
         where relreplident <> 'd'
         union all
        -- It is valid in any case: what is not would not be held against the rows, which were there before it.
        select 7, k.conname, format('alter table %s add constraint %I %s', $2, k.conname,
                                    regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')), null, null
          from old
          join pg_constraint as k on k.conrelid = old.oid and k.contype = 'f' and k.conparentid = 0
         union all
        select 8, k.conname,
               format('comment on constraint %I on %s is %L', coalesce(i.relname, k.conname), $2, obj_description(k.oid, 'pg_constraint')), null, null
          from old
          join pg_constraint as k on k.conrelid = old.oid and k.contype in ('p', 'u', 'x', 'f')
          left join indexes as i on i.constraint_oid = k.oid
         where obj_description(k.oid, 'pg_constraint') is not null
         union all
        select 9, '', format('comment on table %s is %L', $2, obj_description(oid, 'pg_class')), null, null
          from old
         where obj_description(oid, 'pg_class') is not null
         union all
        select 10, '', format('alter table %s owner to %I', $2, pg_get_userbyid(relowner)), null, null
          from old
         where relowner <> (select c.relowner from pg_class as c where c.oid = $2::regclass)
         union all
        -- What default privileges gave to the new table and the old one does not grant.
        select 11, given.role, format('revoke all on table %s from %s', $2, given.role), null, null
          from (select distinct case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as role
                  from pg_class as c
                 cross join lateral aclexplode(c.relacl) as a
                 where c.oid = $2::regclass
                   and a.grantee <> c.relowner
                   and a.grantee <> (select relowner from old)) as given
         union all
        select 12, '', format('revoke all on table %s from %I', $2, pg_get_userbyid(relowner)), null, null
          from old
         cross join of_owner
         where of_owner.differ
         union all
        select 13, concat(given.column_name, given.role, given.privilege_type),
               format('grant %s%s on table %s to %s%s', given.privilege_type, ' (' || quote_ident(given.column_name) || ')',
                      $2, given.role, case when given.is_grantable then ' with grant option' end), null, null
          from (select acl.column_name, g.privilege_type, g.is_grantable,
                       case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end as role
                  from (select null::text, old.items, case when not of_owner.differ then old.relowner end
                          from old
                         cross join of_owner
                         union all
                        select a.attname::text, a.attacl, null
                          from old
                          join pg_attribute as a on a.attrelid = old.oid
                         where a.attnum > 0 and not a.attisdropped) as acl (column_name, items, has_his)
                 cross join lateral aclexplode(acl.items) as g
                 where g.grantee is distinct from acl.has_his) as given) as statements
 order by place, name
