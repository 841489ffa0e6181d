-- Open runs of which nothing is under way, or in which a task waits although all its upstreams have ended.
select r.id
  from bursar.runs as r
 where r.state = 'running'
   and (
       not exists (
           select
             from bursar.task_runs as t
            where t.run_id = r.id
              and t.state in ('ready', 'running', 'deferred')
       )
       or exists (
           select
             from bursar.task_runs as w
             join lateral jsonb_array_elements(r.plan) as p on p ->> 'name' = w.task
            where w.run_id = r.id
              and w.state = 'waiting'
              and not exists (
                  select
                    from jsonb_array_elements(p -> 'after') as upstream
                    join bursar.task_runs as u
                      on u.run_id = r.id
                     and u.task = r.plan -> upstream::integer ->> 'name'
                   where u.state in ('waiting', 'ready', 'running', 'deferred')
              )
       )
   )
