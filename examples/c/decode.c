/* Decode one latent by onnxruntime's C API and write the image as a PGM (gray) or PPM (color) file.

       decode DECODER.onnx OUTPUT.pgm Z...

   DECODER.onnx is decoder.onnx of a bundle, or any other of its decoders; Z are the latent's numbers. */

#include <math.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANK = 8, LEVELS = 255 };

static const OrtApi *ort;

static void fail(const char *what, const char *why) {
  /* One line, of a reason that has several the first. */
  fprintf(stderr, "Error: %s: %.*s\n", what, (int)strcspn(why, "\n"), why);
  exit(1);
}

static void check(OrtStatus *status) {
  if (status) fail("onnxruntime", ort->GetErrorMessage(status));
}

/* A session of one thread, which neither prints nor spins. */
static OrtSession *open_session(const char *path) {
  OrtEnv *env;
  OrtSessionOptions *options;
  OrtSession *session;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "decode", &env));
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, 1));
  check(ort->CreateSession(env, path, options, &session));
  ort->ReleaseSessionOptions(options);
  return session;
}

/* How many latents the graph takes: its input is (batch, latents). */
static size_t count_latents(const OrtSession *session) {
  OrtTypeInfo *type;
  const OrtTensorTypeAndShapeInfo *tensor;
  size_t rank;
  int64_t sizes[MAX_RANK];
  check(ort->SessionGetInputTypeInfo(session, 0, &type));
  check(ort->CastTypeInfoToTensorInfo(type, &tensor));
  check(ort->GetDimensionsCount(tensor, &rank));
  if (rank != 2) fail("the graph", "it is no decoder of latent vectors");
  check(ort->GetDimensions(tensor, sizes, rank));
  ort->ReleaseTypeInfo(type);
  return (size_t)sizes[1];
}

/* The image of one latent, (1, channels, height, width). */
static OrtValue *decode(OrtSession *session, float *z, size_t latents) {
  const char *const inputs[] = {"z"}, *const outputs[] = {"image"};
  const int64_t shape[] = {1, (int64_t)latents};
  OrtMemoryInfo *memory;
  OrtValue *latent, *image = NULL;
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, z, latents * sizeof *z, shape, 2,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &latent));
  check(ort->Run(session, NULL, inputs, (const OrtValue *const *)&latent, 1, outputs, 1, &image));
  ort->ReleaseValue(latent);
  ort->ReleaseMemoryInfo(memory);
  return image;
}

static void write_image(OrtValue *image, const char *path) {
  OrtTensorTypeAndShapeInfo *info;
  int64_t sizes[MAX_RANK];
  size_t rank;
  enum ONNXTensorElementDataType numbers;
  float *values;
  check(ort->GetTensorTypeAndShape(image, &info));
  check(ort->GetTensorElementType(info, &numbers));
  if (numbers != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) fail("the graph", "its images aren't float");
  check(ort->GetDimensionsCount(info, &rank));
  if (rank != 4) fail("the graph", "it gives no images");
  check(ort->GetDimensions(info, sizes, rank));
  ort->ReleaseTensorTypeAndShapeInfo(info);
  check(ort->GetTensorMutableData(image, (void **)&values));

  const int64_t channels = sizes[1], pixels = sizes[2] * sizes[3];
  if (channels != 1 && channels != 3) fail("the graph", "its images are neither gray nor color");
  for (int64_t i = 0; i < channels * pixels; i++)
    if (!isfinite(values[i])) fail("the graph", "its image has pixels that are no numbers");
  FILE *file = fopen(path, "wb");
  if (!file) fail(path, "cannot be written");
  fprintf(file, "P%d\n%d %d\n%d\n", channels == 1 ? 5 : 6, (int)sizes[3], (int)sizes[2], LEVELS);
  for (int64_t i = 0; i < pixels; i++)
    for (int64_t channel = 0; channel < channels; channel++)
      fputc((int)lrintf(fminf(fmaxf(values[channel * pixels + i], 0), 1) * LEVELS), file);
  const int is_bad = ferror(file);
  if (fclose(file) || is_bad) {
    remove(path);
    fail(path, "cannot be written");
  }
}

int main(int count, char **arguments) {
  if (count < 4) fail("usage", "decode DECODER.onnx OUTPUT.pgm Z...");
  ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (!ort) fail("onnxruntime", "the library is older than the header; update it");
  OrtSession *session = open_session(arguments[1]);
  const size_t latents = count_latents(session);
  if ((size_t)count - 3 != latents) {
    fprintf(stderr, "Error: %s: takes %zu latents, not %d\n", arguments[1], latents, count - 3);
    return 1;
  }
  float *z = malloc(latents * sizeof *z);
  if (!z) fail("latents", "no memory for so many");
  for (size_t i = 0; i < latents; i++) {
    char *end;
    z[i] = strtof(arguments[3 + i], &end);
    if (end == arguments[3 + i] || *end || !isfinite(z[i])) fail(arguments[3 + i], "is no latent");
  }
  OrtValue *image = decode(session, z, latents);
  write_image(image, arguments[2]);
  ort->ReleaseValue(image);
  ort->ReleaseSession(session);
  free(z);
  return 0;
}
