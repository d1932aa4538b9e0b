"""What a person says of a patient, brought into the words that the model learned."""

from lesions.core.errors import UserError
from lesions.core.params import nearest
from lesions.core.sanitize import shown
from lesions.models.calibration.metadata_prior import FIELDS, REGIONS, MetadataPrior, PatientMetadata
from lesions.taxonomy import MAX_AGE, SEXES, SITE_OF, SITES
