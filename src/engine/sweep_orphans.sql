-- Attempts whose worker holds its lock no more.
with busy as materialized (
    select distinct worker
      from bursar.task_runs
     where state = 'running'
),
gone as materialized (
    select worker
      from busy
     where not exists (
           select
             from pg_locks as l
            where l.locktype = 'advisory'
              and l.granted
              and l.objsubid = 1
              and l.database = (select oid from pg_database where datname = current_database())
              and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('bursar worker ' || busy.worker, 0)
     )
)
select t.run_id,
       t.task,
       t.item,
       t.attempt,
       t.worker
  from bursar.task_runs as t
  join gone as g on g.worker = t.worker
 where t.state = 'running'
