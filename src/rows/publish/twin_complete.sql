-- Statements that give the table $2 what $1 has, once its rows are there: indexes, constraints, owner, grants. Its
-- indexes are called after it ($4, and the number of the index they stand for): other tables beside it have the same.
with old as (
    select c.oid, c.relreplident, c.relowner, c.relname, n.nspname
      from pg_class as c
      join pg_namespace as n on n.oid = c.relnamespace
     where c.oid = $1::regclass),
indexes as (
    select i.*, format('%s_%s', $4, i.indexrelid) as relname, k.oid as constraint_oid, k.conname,
           -- What comes behind `create index NAME on TABLE using`.
           substr(pg_get_indexdef(i.indexrelid),
                  length(format('CREATE %sINDEX %I ON %I.%I USING ', case when i.indisunique then 'UNIQUE ' end,
                                x.relname::text, old.nspname, old.relname)) + 1) as form
      from old
      join pg_index as i on i.indrelid = old.oid
      join pg_class as x on x.oid = i.indexrelid
      left join pg_constraint as k on k.conindid = i.indexrelid and k.conrelid = old.oid and k.contype in ('p', 'u', 'x'))
select statement
  from (
        select 1 as place, relname::text as name,
               case when constraint_oid is null
                    then format('create %sindex %I on %s using %s', case when indisunique then 'unique ' end, relname, $2, form)
                    else format('alter table %s add constraint %I %s', $2, relname, pg_get_constraintdef(constraint_oid))
               end as statement
          from indexes
         union all
        select 2, relname, format('comment on index %s.%I is %L', $3, relname, obj_description(indexrelid, 'pg_class'))
          from indexes
         where obj_description(indexrelid, 'pg_class') is not null
         union all
        select 3, relname, format('alter table %s cluster on %I', $2, relname) from indexes where indisclustered
         union all
        select 4, '', format('alter table %s replica identity %s', $2,
                             case relreplident when 'f' then 'full' when 'n' then 'nothing'
                                  else (select 'using index ' || quote_ident(relname) from indexes where indisreplident) end)
          from old
         where relreplident <> 'd'
         union all
        select 5, k.conname, format('alter table %s add constraint %I %s', $2, k.conname, pg_get_constraintdef(k.oid))
          from old
          join pg_constraint as k on k.conrelid = old.oid and k.contype = 'f' and k.conparentid = 0
         union all
        select 6, k.conname,
               format('comment on constraint %I on %s is %L', coalesce(i.relname, k.conname), $2, obj_description(k.oid, 'pg_constraint'))
          from old
          join pg_constraint as k on k.conrelid = old.oid and k.contype in ('p', 'u', 'x', 'f')
          left join indexes as i on i.constraint_oid = k.oid
         where obj_description(k.oid, 'pg_constraint') is not null
         union all
        select 7, '', format('comment on table %s is %L', $2, obj_description(oid, 'pg_class'))
          from old
         where obj_description(oid, 'pg_class') is not null
         union all
        -- What default privileges gave to the new table and the old one does not grant.
        select 8, given.grantee::text, format('revoke all on table %s from %s', $2, given.role)
          from (select distinct a.grantee, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as role
                  from pg_class as c
                 cross join lateral aclexplode(c.relacl) as a
                 where c.oid = $2::regclass and a.grantee <> c.relowner) as given
         union all
        select 9, given.column_name || given.role || given.privilege_type,
               format('grant %s%s on table %s to %s%s', given.privilege_type, ' (' || quote_ident(given.column_name) || ')',
                      $2, given.role, case when given.is_grantable then ' with grant option' end)
          from (select coalesce(acl.column_name, '') as sorted, acl.column_name, g.privilege_type, g.is_grantable,
                       case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end as role
                  from (select null::text, c.relacl, c.relowner from pg_class as c join old on old.oid = c.oid
                         union all
                        select a.attname::text, a.attacl, old.relowner
                          from old
                          join pg_attribute as a on a.attrelid = old.oid
                         where a.attnum > 0 and not a.attisdropped) as acl (column_name, items, owner)
                 cross join lateral aclexplode(acl.items) as g
                 where g.grantee <> acl.owner) as given
         union all
        select 10, '', format('alter table %s owner to %I', $2, pg_get_userbyid(relowner))
          from old
         where relowner <> (select c.relowner from pg_class as c where c.oid = $2::regclass)) as statements
 order by place, name
