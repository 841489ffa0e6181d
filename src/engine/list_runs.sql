-- The newest runs: $1 job, $2 state, $3 and $4 run dates, $5 and $6 ids (null: whatever), $7 how many.
select r.id,
       r.job,
       r.run_date,
       r.trigger,
       r.publish,
       r.force,
       r.state,
       r.fault,
       r.error,
       t.tasks,
       t.ended_tasks,
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
       select count(*) as tasks,
              count(*) filter (where state in ('succeeded', 'failed', 'skipped', 'cancelled')) as ended_tasks
         from bursar.task_runs
        where run_id = r.id) as t
 order by r.opened_at desc, r.id desc
