-- Run dates with occurrences that were not run in the last $1 days, the newest $1 of each job, unless a run that was opened
-- later has succeeded in all it is for.
with not_run as (
    select job,
           run_date,
           count(*) as count,
           max(due_at) as due_at
      from bursar.occurrences
     where is_alerted
       and recorded_at > now() - make_interval(days => $1)
     group by job, run_date
),
open as (
    select n.*,
           row_number() over (partition by n.job order by n.run_date desc) as nth_of_job
      from not_run as n
     where not exists (
               select
                 from bursar.runs as r
                where r.job = n.job
                  and r.run_date = n.run_date
                  and r.state = 'succeeded'
                  and r.opened_at >= n.due_at
                  and not exists (
                      select
                        from bursar.task_runs as t
                       where t.run_id = r.id
                         and t.state = 'skipped'))
)
select n.job,
       n.run_date,
       n.count,
       n.due_at,
       o.state,
       o.reason
  from open as n
  join bursar.occurrences as o on o.job = n.job and o.due_at = n.due_at
 where n.nth_of_job <= $1
 order by n.job, n.run_date
