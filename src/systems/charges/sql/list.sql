-- Charges, those that need somebody first: $1 state, $2 only what needs an operator, $3 customer, $4 and $5 bounds of
-- the time they were first requested, $6 how many. The amount is that of the request's lines.
select o.charge_id,
       o.document_number,
       o.stream_customer_id,
       o.state,
       o.needs_operator,
       amount.total::text as amount,
       request.body -> 'invoice' ->> 'currency_code' as currency_code,
       i.provider_entity_id as invoice_id,
       o.attempt,
       o.error_code,
       o.error,
       o.next_at,
       o.created_at,
       o.changed_at
  from charges.outbox as o
 cross join lateral (select convert_from(o.request, 'UTF8')::jsonb) as request (body)
 cross join lateral (
       select sum((line ->> 'total_amount')::numeric)
         from jsonb_array_elements(request.body -> 'invoice' -> 'line_items') as line) as amount (total)
  left join charges.acc_uac_invoice as i on i.pricer_invoice_id = o.charge_id
 where ($1::text is null or o.state = $1)
   and (not $2 or o.needs_operator)
   and ($3::text is null or o.stream_customer_id = $3)
   and ($4::timestamptz is null or o.created_at >= $4)
   and ($5::timestamptz is null or o.created_at < $5)
 order by o.needs_operator desc,
          array_position(array['uncertain', 'failed', 'accepted', 'sent', 'pending', 'succeeded'], o.state),
          o.changed_at desc,
          o.charge_id
 limit $6
