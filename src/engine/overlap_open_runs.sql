-- The open runs of the job $1, as seen by a run of it for the run date $2.
select r.id,
       r.run_date = $2 as is_same_date,
       r.trigger = 'schedule' as is_scheduled,
       r.reopened_at is not null
           or exists (
               select
                 from bursar.attempts as a
                where a.run_id = r.id
                  and a.state in ('lost', 'handed_back'))
           or exists (
               select
                 from (select distinct worker
                         from bursar.task_runs
                        where run_id = r.id
                          and state = 'running') as busy
                where not bursar.is_up(busy.worker)) as is_resumed,
       exists (
           select
             from bursar.task_runs as t
            where t.run_id = r.id
              and t.state in ('ready', 'running'))
           or not exists (
               select
                 from bursar.task_runs as t
                where t.run_id = r.id
                  and t.state = 'deferred') as is_at_work,
       exists (
           select
             from bursar.workers as w
            where w.stopped_at is null
              and r.config_hash = any(w.config_hash || w.kept_hashes)) as is_served
  from bursar.runs as r
 where r.job = $1
   and r.state = 'running'
 order by r.opened_at
