-- The newest runs: $1 job, $2 state, $3 and $4 run dates, $5 and $6 ids (null: whatever), $7 how many.
-- A year of runs has a million tasks, so only the open ones are counted.
select r.id,
       r.job,
       r.run_date,
       r.trigger,
       r.publish,
       r.force,
       r.state,
       r.fault,
       r.error,
       r.tasks::bigint as tasks,
       r.tasks - t.open_tasks as ended_tasks,
       r.host,
       r.pid,
       r.opened_at,
       r.closed_at,
       r.config_hash
  from (select *
          from bursar.runs
         where ($1::text is null or job = $1)
           and ($2::text is null or state = $2)
           and ($3::date is null or run_date >= $3)
           and ($4::date is null or run_date <= $4)
           and ($5::uuid is null or id >= $5)
           and ($6::uuid is null or id <= $6)
         order by opened_at desc, id desc
         limit $7) as r
 cross join lateral (
       select count(*) as open_tasks
         from bursar.task_runs
        where run_id = r.id
          and state in ('waiting', 'ready', 'running', 'deferred')) as t
 order by r.opened_at desc, r.id desc
