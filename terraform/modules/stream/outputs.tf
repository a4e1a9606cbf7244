output "topics" {
  description = "Names of the ingested topics."
  value       = toset([for topic in google_pubsub_topic.events : topic.name])
}

output "subscriptions" {
  description = "Names of the ingester's subscriptions, by topic."
  value       = { for topic, subscription in google_pubsub_subscription.ingest : topic => subscription.name }
}

output "dead_letter_topic" {
  description = "Name of the topic that takes what cannot be landed."
  value       = google_pubsub_topic.dead_letters.name
}

output "dead_letter_subscription" {
  description = "Name of the subscription that keeps it."
  value       = google_pubsub_subscription.dead_letters.name
}
