-- Attempts whose worker holds its lock no more, or has been silent for $1 seconds: it is paused, or cut off.
with busy as materialized (
    select distinct worker
      from bursar.task_runs
     where state = 'running'
),
looked_at as materialized (
    select worker,
           bursar.is_up(worker) as is_there,
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
