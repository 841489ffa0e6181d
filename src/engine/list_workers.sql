-- The workers that hold their lock, and the newest $1 of the others. A lock's key is told in two halves.
with held as materialized (
    select (classid::bigint << 32) | objid::bigint as key
      from pg_locks
     where locktype = 'advisory'
       and granted
       and objsubid = 1
       and database = (select oid from pg_database where datname = current_database())
),
known as materialized (
    select w.*,
           hashtextextended('bursar worker ' || w.id, 0) in (select key from held) as is_alive
      from bursar.workers as w
),
listed as (
    select *
      from known
     where is_alive
    union all
    (select *
       from known
      where not is_alive
      order by started_at desc
      limit $1)
)
select id,
       role,
       host,
       pid,
       is_alive,
       (select count(*) from bursar.task_runs as t where t.state = 'running' and t.worker = listed.id) as busy,
       started_at,
       stopped_at,
       config_loaded_at,
       config_error,
       reload_requested_at
  from listed
 order by is_alive desc, started_at desc, id
