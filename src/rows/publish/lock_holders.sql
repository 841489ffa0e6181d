-- Who uses the table $1, one above it, or one that a foreign key of it or of its segments points to.
with needed as (
    select c.oid from pg_class as c where c.oid = to_regclass($1)
     union
    select i.inhparent from pg_inherits as i where i.inhrelid = to_regclass($1)
     union
    select k.confrelid
      from pg_constraint as k
     where k.contype = 'f'
       and (k.conrelid = to_regclass($1)
            or k.conrelid in (select i.inhrelid from pg_inherits as i where i.inhparent = to_regclass($1))))
select format('%s (process %s%s)', coalesce(nullif(a.application_name, ''), a.usename::text, 'somebody'), l.pid,
              case when not bool_or(l.relation = to_regclass($1))
                   then ', which uses ' || string_agg(distinct l.relation::regclass::text, ', ')
              end)
  from pg_locks as l
  join needed on needed.oid = l.relation
  join pg_stat_activity as a on a.pid = l.pid
 where l.granted
   and l.pid <> pg_backend_pid()
   and l.database = (select oid from pg_database where datname = current_database())
 group by l.pid, a.application_name, a.usename
 order by 1
