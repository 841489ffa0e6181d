-- A charge as the stream API would tell it. The tables' schema is first in the search path.
select
    json_build_object(
        'id', i.id,
        'organization_id', i.organization_id,
        'document_number', i.document_number,
        'issue_date', to_char(i.issue_date at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'due_date', to_char(i.due_date at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'currency_code', i.currency_code,
        'total_amount', i.total_amount::text,
        'payment_terms', i.payment_terms,
        'stream_customer', (
            select json_build_object(
                'customer_id', c.customer_id,
                'customer_name', c.customer_name,
                'customer_email', c.customer_email,
                'uac_customer_id', c.uac_customer_id,
                'uac_customer', (
                    select json_build_object('id', u.id, 'provider_entity_id', u.provider_entity_id)
                      from uac_customer as u
                     where u.id::text = c.uac_customer_id::text
                )
            )
              from customer as c
             where c.customer_id = i.customer_id
        ),
        'line_items', (
            select coalesce(json_agg(json_build_object(
                'id', l.id,
                'description', l.description,
                'quantity', l.quantity,
                'unit_amount', l.unit_amount,
                'total_amount', l.total_amount,
                'suppress_line_item', l.suppress_line_item,
                'product_id', l.product_id,
                'product', (
                    select json_build_object(
                        'product_id', p.product_id,
                        'uac_item_id', p.uac_item_id,
                        'uac_item', (
                            select json_build_object('id', t.id, 'provider_entity_id', t.provider_entity_id)
                              from uac_item as t
                             where t.id::text = p.uac_item_id::text
                        )
                    )
                      from product as p
                     where p.product_id = l.product_id
                )
            ) order by l.id), '[]')
              from uac_line_item as l
             where l.uac_invoice_id = i.id
        )
    )::text
from uac_invoice as i
where i.id = $1
