-- Begins an attempt of the worker $5: at the task that a message names ($1 to $4: run, task, item, offer), or, where $1 is
-- null, at that which the queue would deliver next; its message is void then, and taken out of the queue unless it is on its
-- way to a worker. Such a message must not begin the next attempt before its time, so the offer must stand. Rows are found
-- by their keys: an index of all that is ready would be walked through, which is what || '' keeps the planner from.
-- Only runs under one of the configurations $6 are taken, and tasks that need no other credentials than $7.
with next as (
    select t.run_id,
           t.task,
           t.item,
           t.offer
      from (select id,
                   priority
              from bursar.runs
             where state = 'running'
               and config_hash = any($6::text[])
             order by priority desc, opened_at
             limit 16) as r
     cross join lateral (
           select run_id,
                  task,
                  item,
                  offer,
                  offered_at,
                  position
             from bursar.task_runs
            where run_id = r.id
              and state = 'ready'
              and offered_at is not null
              and needs <@ $7::text[]
            order by offered_at, position
            limit 1
              for update skip locked) as t
     where $1::uuid is null
     order by r.priority desc, t.offered_at, t.position
     limit 1
),
named as (
    select $1::uuid as run_id,
           $2::text as task,
           $3::text as item,
           $4::integer as offer
     where $1 is not null
    union all
    select run_id, task, item, offer from next
),
claimed as (
    update bursar.task_runs as t
       set state = 'running',
           attempt = attempt + 1,
           worker = $5,
           started_at = clock_timestamp(),
           ended_at = null,
           fault = null,
           error = null,
           wake_key = null
      from named as n
      join bursar.runs as r on r.id = n.run_id
     where t.run_id = n.run_id
       and t.task = n.task
       and t.item = n.item
       and t.offer = n.offer
       and t.state || '' = 'ready'
       and t.offered_at is not null
       and t.needs <@ $7::text[]
       and r.state = 'running'
       and r.config_hash = any($6::text[])
    returning t.run_id,
              t.task,
              t.item,
              t.offer,
              t.attempt,
              t.failures,
              r.job,
              r.run_date,
              r.publish,
              r.force,
              r.trigger,
              r.config_hash,
              r.plan,
              r.max_parallel_tasks is not null as is_limited
),
logged as (
    insert into bursar.attempts (run_id, task, item, attempt, worker, config_hash)
    select run_id, task, item, attempt, $5, config_hash from claimed
),
void as (
    delete from apalis.jobs as j
     using claimed as c
     where $1 is null
       and j.job_type = 'bursar'
       and j.idempotency_key = c.run_id || '/' || c.task || '/' || c.item || '/' || c.offer
       and j.status || '' = 'Pending'
)
select * from claimed
