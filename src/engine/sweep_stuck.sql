-- Open runs of which nothing is under way, or in which a task waits although all its upstreams have ended.
with waiting as materialized (
    select w.run_id,
           w.task,
           r.plan
      from (select distinct run_id, task from bursar.task_runs where state = 'waiting') as w
      join bursar.runs as r on r.id = w.run_id
     where r.state = 'running'
),
upstreams as materialized (
    select w.run_id,
           w.task,
           w.plan -> u.place::integer ->> 'name' as upstream
      from waiting as w
     cross join lateral jsonb_array_elements(w.plan) as p
     cross join lateral jsonb_array_elements_text(p -> 'after') as u (place)
     where p ->> 'name' = w.task
),
kept as materialized (
    select distinct u.run_id,
           u.task
      from upstreams as u
      join bursar.task_runs as o on o.run_id = u.run_id and o.task = u.upstream
     where o.state in ('waiting', 'ready', 'running', 'deferred')
)
select w.run_id
  from waiting as w
  left join kept as k on k.run_id = w.run_id and k.task = w.task
 where k.run_id is null
 union
select r.id
  from bursar.runs as r
 where r.state = 'running'
   and not exists (
       select
         from bursar.task_runs as t
        where t.run_id = r.id
          and t.state in ('ready', 'running', 'deferred')
   )
