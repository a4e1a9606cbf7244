# terraform init -backend-config="bucket=<your state bucket>"
terraform {
  backend "gcs" {
    prefix = "millrace/staging"
  }
}
