select distinct format('%s (process %s)', coalesce(nullif(a.application_name, ''), a.usename::text, 'somebody'), l.pid)
  from pg_locks as l
  join pg_stat_activity as a on a.pid = l.pid
 where l.granted
   and l.pid <> pg_backend_pid()
   and l.database = (select oid from pg_database where datname = current_database())
   and (l.relation = to_regclass($1)
        or l.mode = 'AccessExclusiveLock' and l.relation in (select to_regclass(name) from unnest($2::text[]) as t (name)))
 order by 1
