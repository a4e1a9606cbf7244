variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "location" {
  description = "BigQuery location; that of the zones, which read the key."
  type        = string
}

variable "key_writer" {
  description = "Member who loads the key, and another when one has become known."
  type        = string

  validation {
    condition     = can(regex("^(serviceAccount|group):", var.key_writer))
    error_message = "Give serviceAccount:… or group:…: a person leaves."
  }
}

variable "key_readers" {
  description = "Members who make hashes, by a name of theirs; each can try all values until one fits."
  type        = map(string)

  validation {
    condition     = alltrue([for member in values(var.key_readers) : startswith(member, "serviceAccount:")])
    error_message = "What makes hashes is a program: give serviceAccount:…"
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the dataset while the key is there."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of the dataset."
  type        = map(string)
  default     = {}
}
