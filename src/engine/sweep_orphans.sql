-- Attempts whose worker holds its lock no more, or has been silent for $1 seconds: it is paused, or cut off.
with busy as materialized (
    select distinct worker
      from bursar.task_runs
     where state = 'running'
),
looked_at as materialized (
    select worker,
           exists (
               select
                 from pg_locks as l
                where l.locktype = 'advisory'
                  and l.granted
                  and l.objsubid = 1
                  and l.database = (select oid from pg_database where datname = current_database())
                  and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('bursar worker ' || worker, 0)
           ) as is_there,
           exists (
               select
                 from apalis.workers as w
                where w.worker_type = 'bursar'
                  and starts_with(w.id, busy.worker || '/')
                  and w.last_seen > now() - make_interval(secs => $1)
           ) as is_heard
      from busy
)
select t.run_id,
       t.task,
       t.item,
       t.attempt,
       t.worker,
       l.is_there
  from bursar.task_runs as t
  join looked_at as l on l.worker = t.worker
 where t.state = 'running'
   and not (l.is_there and l.is_heard)
