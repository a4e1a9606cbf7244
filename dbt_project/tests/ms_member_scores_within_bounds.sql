{{ config(tags=['analytics'], meta={'owner': 'loyalty-data'}) }}

-- Scores are weights and quintiles: one outside its bounds means that a weight or a part of it is wrong.
select
    member_id,
    engagement_score,
    recency_score,
    frequency_score,
    monetary_score,
    contactable_channels
from {{ ref('ms_member') }}
where engagement_score is null
    or engagement_score not between 0 and 100
    or recency_score not between 0 and 5
    or frequency_score not between 0 and 5
    or monetary_score not between 0 and 5
    or contactable_channels not between 0 and 4
