{{ config(tags=['refined'], meta={'owner': 'loyalty-data'}) }}

-- A balance is what was earned and adjusted less what was redeemed and expired: a kind of entry the model does not
-- know would open a gap. And no more can be left of the credits than the balance, unless it is overdrawn.
select
    member_id,
    points_balance,
    points_earned,
    points_redeemed,
    points_expired,
    points_adjusted,
    points_expiring_90d,
    points_overdue
from {{ ref('ref_member_loyalty') }}
where points_balance != points_earned + points_adjusted - points_redeemed - points_expired
    or points_expiring_90d + points_overdue > greatest(points_balance, 0)
