-- Chooses what is offered to the queue: $1 now, $2 the limit over all jobs (null: none), $3 the most at once. While workers
-- are up, what none of them can do is not offered: it would take places that count against the limits.
with up as materialized (
    select config_hash || kept_hashes as configurations,
           credentials
      from bursar.workers
     where stopped_at is null
),
under_way as materialized (
    select r.job,
           count(*) as tasks
      from bursar.task_runs as t
      join bursar.runs as r on r.id = t.run_id
     where t.state = 'running' or (t.state = 'ready' and t.offered_at is not null)
     group by r.job
),
candidates as materialized (
    select t.run_id,
           t.task,
           t.item,
           t.ready_at,
           t.position,
           r.job,
           r.priority,
           r.max_parallel_tasks,
           row_number() over (partition by r.job order by r.priority desc, t.ready_at, t.position) as nth_of_job
      from bursar.task_runs as t
      join bursar.runs as r on r.id = t.run_id
     where t.state = 'ready'
       and t.offered_at is null
       and t.ready_at <= $1
       and r.state = 'running'
       and (not exists (select from up)
            or exists (select from up where r.config_hash = any(up.configurations) and t.needs <@ up.credentials))
),
chosen as materialized (
    select c.run_id,
           c.task,
           c.item,
           c.priority
      from candidates as c
      left join under_way as u on u.job = c.job
     where c.max_parallel_tasks is null
        or c.nth_of_job <= c.max_parallel_tasks - coalesce(u.tasks, 0)
     order by c.priority desc, c.ready_at, c.position
     limit case
               when $2::bigint is null then $3
               else least($3, greatest($2 - (select coalesce(sum(tasks), 0)::bigint from under_way), 0))
           end
)
update bursar.task_runs as t
   set offered_at = $1,
       offer = t.offer + 1
  from chosen as c
 where t.run_id = c.run_id
   and t.task = c.task
   and t.item = c.item
   and t.state = 'ready'
   and t.offered_at is null
returning t.run_id,
          t.task,
          t.item,
          t.offer,
          c.priority
