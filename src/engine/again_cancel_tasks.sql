-- Cancels what has not ended of run $1, for the reason $2; tells which of it was under way.
with open_tasks as (
    select run_id,
           task,
           item,
           state
      from bursar.task_runs
     where run_id = $1
       and state in ('waiting', 'ready', 'running', 'deferred')
       for update
),
cancelled as (
    update bursar.task_runs as t
       set state = 'cancelled',
           fault = 'transient',
           error = $2,
           ended_at = clock_timestamp(),
           offered_at = null,
           wake_key = null
      from open_tasks as o
     where t.run_id = o.run_id
       and t.task = o.task
       and t.item = o.item
    returning t.task,
              t.item,
              t.attempt,
              o.state = 'running' as was_running
),
logged as (
    update bursar.attempts as a
       set state = 'cancelled',
           error = $2,
           ended_at = clock_timestamp()
      from cancelled as c
     where a.run_id = $1
       and a.task = c.task
       and a.item = c.item
       and a.attempt = c.attempt
       and a.state = 'running'
)
select task,
       item,
       attempt,
       was_running
  from cancelled
