"""Layouts as data sets are published and as people keep them: a small one of each, and what is read of it."""

import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from lesions.archives import list_members, read_members
from lesions.core.errors import UserError
from lesions.sources.folder.fetch import bring

Content = str | bytes | list[str]


class Case(NamedTuple):
    """A folder, and what is read of it.

    Attributes:
        files: by path; "" is an image, a list the images in an archive, other text a table.
        expected: of each image what its row has: diagnosis, split or another column's value.
        said: parts of what is printed.
        column: which one `expected` gives after the diagnosis.
    """

    files: dict[str, Content]
    expected: dict[str, tuple[str, ...]]
    said: tuple[str, ...] = ()
    column: str = "split"


def ids(prefix: str, *names: str) -> list[str]:
    return [f"{prefix}{name}.jpg" for name in names]


HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\n"
CASES = {
    "HAM10000 as the Dataverse gives it all": Case(
        {
            "HAM10000_images_part_1.zip": ids("ISIC_", "1", "2"),
            "HAM10000_images_part_2.zip": ids("ISIC_", "3"),
            "HAM10000_metadata": HAM
            + "H1,ISIC_1,mel,histo,50,male,back,vidir\nH1,ISIC_2,mel,,,,,\nH2,ISIC_3,nv,,,,,\n",
            "HAM10000_segmentations_lesion_tschandl.zip": [f"ISIC_{n}_segmentation.png" for n in (1, 2, 3)],
            "ISIC2018_Task3_Test_Images.zip": ids("x/ISIC_", "8", "9"),
            "ISIC2018_Task3_Test_GroundTruth.csv": HAM + "H8,ISIC_8,nv,,,,,\nH9,ISIC_9,bcc,,,,,\n",
            "ISIC2018_Task3_Test_Ratings.csv": "image_id,rater\nISIC_8,1\nISIC_8,2\n",
        },
        {
            "ISIC_1": ("mel", "train"),
            "ISIC_2": ("mel", "train"),
            "ISIC_3": ("nv", "train"),
            "ISIC_8": ("nv", "test"),
            "ISIC_9": ("bcc", "test"),
        },
        ("hold no image of the table: HAM10000_segmentations_lesion_tschandl.zip",),
    ),
    "HAM10000 as Kaggle gives it": Case(
        {
            "HAM10000_images_part_1/ISIC_1.jpg": "",
            "HAM10000_images_part_2/ISIC_2.jpg": "",
            "HAM10000_metadata.csv": HAM + "H1,ISIC_1,mel,,,,,\nH2,ISIC_2,nv,,,,,\n",
            "hmnist_8_8_RGB.csv": "pixel0000,pixel0001,label\n1,2,4\n",
        },
        {"ISIC_1": ("mel",), "ISIC_2": ("nv",)},
        ("layout of HAM10000",),
    ),
    "archive client": Case(
        {
            "images/ISIC_1.jpg": "",
            "images/ISIC_2.jpg": "",
            "metadata.csv": "isic_id,attribution,copyright_license,age_approx,diagnosis_1,diagnosis_2,diagnosis_3\n"
            "ISIC_1,Clinic,CC-0,55,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma Invasive\n"
            "ISIC_2,Clinic,CC-BY,40,Benign,Benign melanocytic proliferations,Nevus\n",
            "attribution.txt": "Clinic\n",
            "licenses/CC-0.txt": "...\n",
        },
        {"ISIC_1": ("mel", "55"), "ISIC_2": ("nv", "40")},
        ("layout of ISIC archive", "age_approx as age"),
        "age",
    ),
    "ISIC 2016": Case(
        {
            "ISBI2016_ISIC_Part3_Training_Data/ISIC_1.jpg": "",
            "ISBI2016_ISIC_Part3_Training_Data/ISIC_2.jpg": "",
            "ISBI2016_ISIC_Part3_Test_Data/ISIC_3.jpg": "",
            "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": "ISIC_1,malignant\nISIC_2,benign\n",
            "ISBI2016_ISIC_Part3_Test_GroundTruth.csv": "ISIC_3,1.0\n",
        },
        {"ISIC_1": ("malignant", "train"), "ISIC_2": ("benign", "train"), "ISIC_3": ("malignant", "test")},
    ),
    "ISIC 2017": Case(
        {
            "ISIC-2017_Training_Data/ISIC_1.jpg": "",
            "ISIC-2017_Training_Data/ISIC_2.jpg": "",
            "ISIC-2017_Training_Data/ISIC_1_superpixels.png": "",
            "ISIC-2017_Validation_Data/ISIC_3.jpg": "",
            "ISIC-2017_Test_v2_Data/ISIC_4.jpg": "",
            "ISIC-2017_Training_Part3_GroundTruth.csv": "image_id,melanoma,seborrheic_keratosis\n"
            "ISIC_1,1.0,0.0\nISIC_2,0,0\n",
            "ISIC-2017_Validation_Part3_GroundTruth.csv": "image_id,melanoma,seborrheic_keratosis\nISIC_3,0.0,1.0\n",
            "ISIC-2017_Test_v2_Part3_GroundTruth.csv": "image_id,melanoma,seborrheic_keratosis\nISIC_4,0.0,0.0\n",
            "ISIC-2017_Training_Data_metadata.csv": "image_id,age_approximate,sex\nISIC_1,55,male\n",
        },
        {"ISIC_1": ("mel", "train"), "ISIC_2": ("nv", "train"), "ISIC_3": ("sk", "val"), "ISIC_4": ("nv", "test")},
        ("layout of ISIC 2017", "masks of other images: ISIC-2017_Training_Data/ISIC_1_superpixels.png"),
    ),
    "ISIC 2018, unpacked": Case(
        {
            "ISIC2018_Task3_Training_Input/ISIC_1.jpg": "",
            "ISIC2018_Task3_Validation_Input/ISIC_2.jpg": "",
            "ISIC2018_Task3_Test_Input/ISIC_3.jpg": "",
            "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv": "image,MEL,NV\n"
            "ISIC_1,1.0,0.0\n",
            "ISIC2018_Task3_Validation_GroundTruth/ISIC2018_Task3_Validation_GroundTruth.csv": "image,MEL,NV\n"
            "ISIC_2,0,1\n",
            "ISIC2018_Task3_Test_GroundTruth/ISIC2018_Task3_Test_GroundTruth.csv": "image,MEL,NV\nISIC_3,0,1\n",
            "ISIC2018_Task3_Training_LesionGroupings.csv": "image,lesion_id,diagnosis_confirm_type\n"
            "ISIC_1,H1,histopathology\n",
        },
        {"ISIC_1": ("mel", "train"), "ISIC_2": ("nv", "val"), "ISIC_3": ("nv", "test")},
        ("layout of ISIC challenge",),
    ),
    "ISIC 2018, as archives": Case(
        {
            "ISIC2018_Task3_Training_Input.zip": ids("ISIC2018_Task3_Training_Input/ISIC_", "1", "2"),
            "ISIC2018_Task3_Training_GroundTruth.zip": [
                "t/ISIC2018_Task3_Training_GroundTruth.csv=image,MEL,NV\nISIC_1,1,0\nISIC_2,0,1\n"
            ],
        },
        {"ISIC_1": ("mel",), "ISIC_2": ("nv",)},
    ),
    "ISIC 2019": Case(
        {
            "ISIC_2019_Training_Input/ISIC_1.jpg": "",
            "ISIC_2019_Training_Input/ISIC_2_downsampled.jpg": "",
            "ISIC_2019_Test_Input/ISIC_3.jpg": "",
            "ISIC_2019_Training_GroundTruth.csv": "image,MEL,SCC,UNK\nISIC_1,1.0,0.0,0.0\nISIC_2_downsampled,0,1,0\n",
            "ISIC_2019_Test_GroundTruth.csv": "image,MEL,SCC,UNK,score_weight,validation_weight\n"
            "ISIC_3,0,0,1,0.25,0.0\n",
            "ISIC_2019_Training_Metadata.csv": "image,age_approx,anatom_site_general,lesion_id,sex\n"
            "ISIC_1,55,head/neck,L1,male\n",
            "ISIC_2019_Test_Metadata.csv": "image,age_approx,anatom_site_general,sex\nISIC_3,60,,female\n",
        },
        {"ISIC_1": ("mel", "55"), "ISIC_2_downsampled": ("scc", ""), "ISIC_3": ("", "60")},
        (),
        "age",
    ),
    "ISIC 2020": Case(
        {
            "train/ISIC_1.jpg": "",
            "train/ISIC_2.jpg": "",
            "test/ISIC_3.jpg": "",
            "train.csv": "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,"
            "diagnosis,benign_malignant,target\n"
            "ISIC_1,P1,male,45,torso,melanoma,malignant,1\nISIC_2,P2,female,30,torso,unknown,benign,0\n",
            "test.csv": "image_name,patient_id,sex,age_approx,anatom_site_general_challenge\nISIC_3,P3,male,20,torso\n",
            "sample_submission.csv": "image_name,target\nISIC_3,0\n",
        },
        {"ISIC_1": ("melanoma", "P1"), "ISIC_2": ("benign", "P2")},
        ("layout of ISIC 2020",),
        "patient_id",
    ),
    "ISIC 2024": Case(
        {
            "train-image.hdf5": ["ISIC_1", "ISIC_2"],
            "test-image.hdf5": ["ISIC_3"],
            "train-metadata.csv": "isic_id,target,patient_id,age_approx,sex,tbp_lv_location,lesion_id\n"
            "ISIC_1,0,P1,60,male,Torso,\nISIC_2,1,P2,55,female,Arm,L1\n",
            "test-metadata.csv": "isic_id,patient_id,age_approx,sex,tbp_lv_location\nISIC_3,P3,50,male,Arm\n",
            "sample_submission.csv": "isic_id,target\nISIC_3,0.3\n",
        },
        {"ISIC_1": ("benign", "P1"), "ISIC_2": ("malignant", "P2")},
        ("layout of ISIC 2024", "hold no image of the table: test-image.hdf5"),
        "patient_id",
    ),
    "PAD-UFES-20": Case(
        {
            "images/imgs_part_1.zip": ["imgs_part_1/PAT_1.png", "imgs_part_1/PAT_2.png"],
            "metadata.csv": "patient_id,lesion_id,age,gender,region,diagnostic,img_id,biopsed\n"
            "PAT1,1,60,MALE,FACE,ACK,PAT_1.png,True\nPAT2,2,40,FEMALE,ARM,NEV,PAT_2.png,False\n",
        },
        {"PAT_1": ("ACK", "1"), "PAT_2": ("NEV", "2")},
        ("layout of PAD-UFES-20", "does not read biopsed"),
        "lesion_id",
    ),
    "derm7pt": Case(
        {
            "images/NEL/Nel1.jpg": "",
            "images/NEL/NEL2.jpg": "",
            "images/A1l/Aal3.jpg": "",
            "images/A1l/Aal4.jpg": "",
            "meta/meta.csv": "case_num,diagnosis,seven_point_score,location,sex,clinic,derm,notes\n"
            "1,melanoma (in situ),3,back,male,NEL/Nel1.jpg,NEL/NEL2.jpg,\n"
            "2,clark nevus,1,back,female,A1l/Aal3.jpg,A1l/Aal4.jpg,\n",
            "meta/train_indexes.csv": "indexes\n1\n",
            "meta/valid_indexes.csv": "indexes\n",
            "meta/test_indexes.csv": "indexes\n0\n",
        },
        {"NEL2": ("melanoma (in situ)", "test"), "Aal4": ("clark nevus", "train")},
        ("layout of derm7pt",),
    ),
    "PH2": Case(
        {
            "PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp": "",
            "PH2 Dataset images/IMD003/IMD003_lesion/IMD003_lesion.bmp": "",
            "PH2 Dataset images/IMD003/IMD003_roi/IMD003_R1_Label4.bmp": "",
            "PH2 Dataset images/IMD405/IMD405_Dermoscopic_Image/IMD405.bmp": "",
            "PH2_dataset.xlsx": b"PK",
            "PH2_dataset.txt": "\ufeff|| Name  ||  Histological Diagnosis  ||  Clinical Diagnosis  ||  Asymmetry  ||\n"
            "|| IMD003  ||                          ||          0           ||      0      ||\n"
            "|| IMD405  ||        Melanoma          ||          2           ||      1      ||\n\nLegends:\n",
        },
        {"IMD003": ("common nevus",), "IMD405": ("melanoma",)},
        ("layout of PH2", "masks of other images: ", "save them as CSV in UTF-8: PH2_dataset.xlsx"),
    ),
    "Fitzpatrick17k": Case(
        {
            "images/0a1b.jpg": "",
            "images/2c3d.jpg": "",
            "fitzpatrick17k.csv": "md5hash,fitzpatrick_scale,label,nine_partition_label,url\n"
            "0a1b,3,malignant melanoma,malignant melanoma,http://a\n2c3d,1,psoriasis,inflammatory,http://b\n",
        },
        {"0a1b": ("malignant melanoma",), "2c3d": ("psoriasis",)},
        ("layout of Fitzpatrick17k", "md5hash as image_id"),
    ),
    "splits in English": Case(
        {"train_set/mel/1.jpg": "", "valid/nv/2.jpg": "", "Test-Images/nv/3.jpg": ""},
        {"1": ("mel", "train"), "2": ("nv", "val"), "3": ("nv", "test")},
    ),
    "splits in Spanish": Case(
        {"Entrenamiento/mel/1.jpg": "", "Validación/nv/2.jpg": "", "Prueba/nv/3.jpg": ""},
        {"1": ("mel", "train"), "2": ("nv", "val"), "3": ("nv", "test")},
    ),
    "splits in Portuguese, accents as a Mac writes them": Case(
        {"treino/mel/1.jpg": "", unicodedata.normalize("NFD", "validação/nv/2.jpg"): "", "teste/nv/3.jpg": ""},
        {"1": ("mel", "train"), "2": ("nv", "val"), "3": ("nv", "test")},
    ),
    "splits in French, German and Chinese": Case(
        {"entraînement/mel/1.jpg": "", "Validierung/nv/2.jpg": "", "测试集/nv/3.jpg": ""},
        {"1": ("mel", "train"), "2": ("nv", "val"), "3": ("nv", "test")},
    ),
    "test without diagnoses": Case(
        {"train/mel/1.jpg": "", "train/nv/2.jpg": "", "test/3.jpg": "", "test/images/4.jpg": ""},
        {"1": ("mel", "train"), "2": ("nv", "train")},
        ("images in no folder of a class: test/3.jpg, test/images/4.jpg",),
    ),
    "empty class": Case(
        {"mel/1.jpg": "", "nv/2.jpg": "", "bcc/notes.txt": "later\n"},
        {"1": ("mel",), "2": ("nv",)},
        ("folders without an image: bcc",),
    ),
    "thumbnails of a file server": Case(
        {"mel/1.jpg": "", "mel/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg": "", "nv/2.jpg": "", "nv/Thumbs.db": b"x"},
        {"1": ("mel",), "2": ("nv",)},
        ("a file server's thumbnails and trash: mel/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",),
    ),
    "output of Augmentor": Case(
        {"mel/1.jpg": "", "mel/output/mel_original_1.jpg_0a.jpg": "", "nv/2.jpg": ""},
        {"1": ("mel",), "2": ("nv",)},
        ("an augmentation tool's output: mel/output/mel_original_1.jpg_0a.jpg",),
    ),
    "masks": Case(
        {"mel/1.jpg": "", "mel/1_mask.png": "", "nv/2.jpg": "", "masks/2.png": ""},
        {"1": ("mel",), "2": ("nv",)},
        ("masks of other images: masks/2.png, mel/1_mask.png",),
    ),
    "image with a mask's name": Case({"mel/a_lesion.jpg": "", "nv/b.jpg": ""}, {"a_lesion": ("mel",), "b": ("nv",)}),
    "ids with ending and folder": Case(
        {"a/1.JPG": "", "b/2.png": "", "t.csv": "filename,diagnosis\na/1.JPG,mel\nb\\2.png,nv\n"},
        {"1": ("mel",), "2": ("nv",)},
    ),
    "ids in small letters": Case(
        {"ISIC_1.jpg": "", "ISIC_2.jpg": "", "t.csv": "image_id,dx\nisic_1,mel\nisic_2,nv\n"},
        {"ISIC_1": ("mel",), "ISIC_2": ("nv",)},
    ),
    "accents as a Mac writes them": Case(
        {unicodedata.normalize("NFD", "señora.jpg"): "", "2.jpg": "", "t.csv": "image_id,dx\nseñora,mel\n2,nv\n"},
        {"señora": ("mel",), "2": ("nv",)},
    ),
    "tables for parts": Case(
        {"1.jpg": "", "2.jpg": "", "3.jpg": "", "train.csv": "image,dx\n1,mel\n2,nv\n", "val.csv": "image,dx\n3,nv\n"},
        {"1": ("mel", "train"), "2": ("nv", "train"), "3": ("nv", "val")},
    ),
    "one table, and others for its parts": Case(
        {
            "1.jpg": "",
            "2.jpg": "",
            "3.jpg": "",
            "all.csv": "image,dx,sex\n1,mel,male\n2,nv,male\n3,nv,male\n",
            "train.csv": "image,dx\n1,mel\n2,nv\n",
            "test.csv": "image,dx\n3,Nevus\n",
        },
        {"1": ("mel", "train"), "2": ("nv", "train"), "3": ("nv", "test")},
        ("Not read: test.csv, which says what all.csv says, but for its name: its images are test",),
    ),
    "diagnoses and patients apart": Case(
        {"1.jpg": "", "2.jpg": "", "dx.csv": "image,dx\n1,mel\n2,nv\n", "who.csv": "image,patient\n1,P1\n2,P1\n"},
        {"1": ("mel", "P1"), "2": ("nv", "P1")},
        (),
        "patient_id",
    ),
    "diagnoses in two tables, lesions in one": Case(
        {
            "1.jpg": "",
            "2.jpg": "",
            "3.jpg": "",
            "GroundTruth.csv": "image,MEL,NV\n1,1,0\n2,0,1\n3,0,1\n",
            "metadata.csv": "image_id,lesion_id,dx\n2,L1,nevus\n3,L1,nv\n",
        },
        {"1": ("mel", ""), "2": ("nv", "L1"), "3": ("nv", "L1")},
        (),
        "lesion_id",
    ),
    "diagnoses and lesions in small letters": Case(
        {
            "A1.jpg": "",
            "A2.jpg": "",
            "dx.csv": "image,dx\na1,mel\na2,nv\n",
            "ids.csv": "image,lesion_id\na1,L1\na2,L1\n",
        },
        {"A1": ("mel", "L1"), "A2": ("nv", "L1")},
        (),
        "lesion_id",
    ),
    "lesions of other images": Case(
        {"1.jpg": "", "2.jpg": "", "dx.csv": "image,dx\n1,mel\n2,nv\n", "ids.csv": "image,lesion_id\n8,L1\n"},
        {"1": ("mel",), "2": ("nv",)},
        ("Not read: ids.csv, which lists none of the images that have a diagnosis",),
    ),
    "lesions that one table lacks": Case(
        {
            "1.jpg": "",
            "2.jpg": "",
            "dx.csv": "image,dx,lesion_id\n1,mel,NA\n2,nv,#N/A\n",
            "ids.csv": "image,lesion_id\n1,L1\n2,L1\n",
        },
        {"1": ("mel", "L1"), "2": ("nv", "L1")},
        (),
        "lesion_id",
    ),
    "splits apart": Case(
        {
            "1.jpg": "",
            "2.jpg": "",
            "dx.csv": "image,dx\n1,mel\n2,nv\n",
            "by.csv": "image,split\n1,Training\n2,Testing\n",
        },
        {"1": ("mel", "train"), "2": ("nv", "test")},
    ),
    "a column a diagnosis, and others": Case(
        {"1.jpg": "", "2.jpg": "", "t.csv": "image,MEL,NV,lesion_id,age\n1,1,0,L1,50\n2,0,1,L1,\n"},
        {"1": ("mel", "L1"), "2": ("nv", "L1")},
        (),
        "lesion_id",
    ),
    "archive of something else beside classes": Case(
        {"mel/1.jpg": "", "nv/2.jpg": "", "masks.zip": ["notes.txt"]},
        {"1": ("mel",), "2": ("nv",)},
        ("archives: no table says what their images show: masks.zip",),
    ),
    "table in an archive, in capitals": Case(
        {"1.jpg": "", "2.jpg": "", "META.ZIP": ["META.csv=image,dx\n1,mel\n2,nv\n"]},
        {"1": ("mel",), "2": ("nv",)},
        ("layout of HAM10000",),
    ),
    "table of another folder": Case(
        {"1.jpg": "", "2.jpg": "", "dx.csv": "image,dx\n1,mel\n2,nv\n", "old.csv": "image,dx\n8,mel\n9,nv\n"},
        {"1": ("mel",), "2": ("nv",)},
        ("Not read: old.csv, which lists none of the images that are there",),
    ),
    "a second table that cannot be read": Case(
        {"1.jpg": "", "2.jpg": "", "dx.csv": "image,dx\n1,mel\n2,nv\n", "ratings.csv": "image,dx\n1,mel\n1,nv\n"},
        {"1": ("mel",), "2": ("nv",)},
        ("Not read: ratings.csv has 1 image_ids in more than one row: 1 (2 times)",),
    ),
    "weights of a network beside the images": Case(
        {"1.jpg": "", "2.jpg": "", "dx.csv": "image,dx\n1,mel\n2,nv\n", "model.h5": ["layer"]},
        {"1": ("mel",), "2": ("nv",)},
        ("hold no image of the table: model.h5",),
    ),
}


def write(folder: Path, files: dict[str, Content]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list) and path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for member in content:
                    inside, _, text = member.partition("=")
                    archive.writestr(inside, text or inside)
        elif isinstance(content, list):
            with h5py.File(path, "w") as hdf5:
                for member in content:
                    hdf5[member] = np.void(member.encode())
        else:
            path.write_bytes(content if isinstance(content, bytes) else (content or name).encode())


@pytest.fixture
def said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Case], tuple[dict[str, tuple[str, ...]], str]]:
    def read(case: Case) -> tuple[dict[str, tuple[str, ...]], str]:
        (tmp_path / "raw").mkdir()
        write(tmp_path / "folder", case.files)
        table = bring(tmp_path / "folder", tmp_path / "raw").table
        columns = [name for name in ("dx", case.column) if name in table]
        rows = table[columns].to_numpy().tolist()
        return {
            str(name): tuple(row) for name, row in zip(table["image_id"], rows, strict=True)
        }, capsys.readouterr().out

    return read


@pytest.mark.parametrize("name", CASES)
def test_layout(name: str, said: Callable[[Case], tuple[dict[str, tuple[str, ...]], str]]) -> None:
    rows, out = said(CASES[name])
    assert rows == CASES[name].expected
    assert [part for part in CASES[name].said if part not in out] == [], out


DERM7PT: dict[str, Content] = {
    "1.jpg": "",
    "2.jpg": "",
    "meta.csv": "diagnosis,clinic,derm\nnevus,,1.jpg\nmelanoma,,2.jpg\n",
    "train_indexes.csv": "indexes\n0\n",
}
STOPS: dict[str, tuple[dict[str, Content], tuple[str, ...]]] = {
    "columns of no known name": (
        {"1.jpg": "", "2.jpg": "", "t.csv": "photo,finding\n1.jpg,mel\n2.jpg,Nevus\n"},
        (
            "t.csv has no column image_id and no column dx",
            'the column "photo": call it image_id',
            '"finding": call it dx',
        ),
    ),
    "tables that contradict": (
        {"1.jpg": "", "2.jpg": "", "a.csv": "image,dx\n1,mel\n2,nv\n", "b.csv": "image,dx\n1,nv\n2,nv\n"},
        ("a.csv and b.csv both list 1", '"mel" and "nv"', "Take the table that is not meant out"),
    ),
    "tables of half the same images": (
        {"1.jpg": "", "2.jpg": "", "3.jpg": "", "a.csv": "image,dx\n1,mel\n2,nv\n", "b.csv": "image,dx\n2,nv\n3,nv\n"},
        ("a.csv and b.csv both list 2", "in one table or in tables of different images"),
    ),
    "table of other images": (
        {"1.jpg": "", "t.csv": "image,dx\n8,mel\n9,nv\n"},
        ("None of the images that t.csv lists is there", "Found: 8 in the table, 1 in the folder"),
    ),
    "patients of an image twice": (
        {"1.jpg": "", "2.jpg": "", "dx.csv": "image,dx\n1,mel\n2,nv\n", "who.csv": "image,patient\n1,P1\n1,P2\n"},
        ("who.csv has 1 image_ids in more than one row: 1 (2 times)", "Remove the rows that are wrong"),
    ),
    "one class": ({"mel/1.jpg": "", "mel/2.jpg": ""}, ("is not recognised", "images in: mel", "two or more folders")),
    "spreadsheet alone": ({"1.jpg": "", "t.xlsx": b"PK"}, ("is not recognised", "save a spreadsheet as CSV in UTF-8")),
    "HDF5 that is none": (
        {"train-image.hdf5": b"no", "t.csv": "isic_id,target\n1,0\n"},
        ("train-image.hdf5 cannot be opened as an HDF5 file", "download it again"),
    ),
    "lists of rows that overlap": (
        {**DERM7PT, "test_indexes.csv": "indexes\n0\n"},
        ("train_indexes.csv lists the row 0, which is test already", "each row of the table with diagnoses once"),
    ),
    "lists of rows that are none": (
        {**DERM7PT, "test_indexes.csv": "indexes\n2\n"},
        ("test_indexes.csv lists the row 2, and there are 2 rows", "counted from 0"),
    ),
    "lists that leave a row out": (DERM7PT, ("train_indexes.csv leave out the row 1", "take them out of the folder")),
    "PH2 without a diagnosis": (
        {
            "IMD003.bmp": "",
            "PH2_dataset.txt": "|| Name || Histological Diagnosis || Clinical Diagnosis ||\n|| IMD003 || || 7 ||\n",
        },
        ("PH2_dataset.txt: the row of IMD003 has no clinical diagnosis", "Fetch the table again"),
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_stops(name: str, said: Callable[[Case], object]) -> None:
    files, words = STOPS[name]
    with pytest.raises(UserError) as error:
        said(Case(files, {}))
    assert [word for word in words if word not in str(error.value)] == [], str(error.value)


def test_members_of_an_hdf5_file_that_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["good"] = np.void(b"image")
        file["text"] = np.bytes_(b"image")
        file.create_dataset("reference", data=file["good"].ref, dtype=h5py.ref_dtype)
        file["numbers"] = np.arange(5.0)
        file["outside"] = h5py.ExternalLink("/etc/passwd", "a")
        file["soft"] = h5py.SoftLink("/good")
        file.create_group("group")
        file.create_dataset("empty", data=h5py.Empty("S1"))
    members = {member.name: member for member in list_members(path)}
    assert {name for name, member in members.items() if not member.problem} == {"good", "text"}
    assert list(read_members(tmp_path, [("a.hdf5", "good"), ("a.hdf5", "text")])) == [b"image", b"image"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_hdf5_ends_in_a_sentence(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.hdf5"
    write(tmp_path, {"a.hdf5": [f"ISIC_{number}" for number in range(200)]})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"a\.hdf5 cannot be opened as an HDF5 file"):
        list_members(path)
