with due as (
    select c.notice_id
      from bursar.notice_channels as c
      join bursar.notices as n on n.id = c.notice_id
     where c.channel = $1
       and c.state = 'pending'
       and c.next_at <= $2
       and (c.claimed_until is null or c.claimed_until <= $2)
       and not exists (
           select
             from bursar.notices as earlier
             join bursar.notice_channels as untold on untold.notice_id = earlier.id
            where n.event = 'resolved'
              and earlier.alert_id = n.alert_id
              and earlier.event = 'raised'
              and untold.channel = c.channel
              and untold.state = 'pending')
     order by n.created_at
     limit 1
       for update of c skip locked
)
update bursar.notice_channels as c
   set claimed_until = $3,
       attempts = c.attempts + 1
  from due
  join bursar.notices as n on n.id = due.notice_id
  join bursar.alerts as a on a.id = n.alert_id
 where c.notice_id = due.notice_id
   and c.channel = $1
returning n.id as notice_id,
          n.event,
          c.attempts,
          a.id as alert_id,
          a.kind,
          a.job,
          a.run_date,
          a.dataset,
          a.customer,
          a.title,
          a.text,
          a.next_step,
          a.raised_at,
          a.raised_count,
          a.resolution
