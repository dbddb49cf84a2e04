/* A C user of the library: trains a regression on made-up data, and compares with the truth. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <LightGBM/c_api.h>

#define ROWS 2000
#define COLUMNS 3

static void need(int code, const char *what) {
  if (code != 0) {
    fprintf(stderr, "%s: %s\n", what, LGBM_GetLastError());
    exit(1);
  }
}

int main(void) {
  static double data[ROWS * COLUMNS];
  static float truth[ROWS];
  static double predicted[ROWS];
  const char *parameters = "objective=regression verbose=-1 num_leaves=15 min_data_in_leaf=5 seed=1";
  DatasetHandle set;
  BoosterHandle booster;
  int64_t count = 0;
  int done = 0;
  double error = 0, spread = 0;

  for (int row = 0; row < ROWS; ++row) {
    for (int column = 0; column < COLUMNS; ++column)
      data[row * COLUMNS + column] = (double)((row * 37 + column * 101 + row * row % 53) % 200) / 200;
    truth[row] = (float)(3 * data[row * COLUMNS] - 2 * data[row * COLUMNS + 1]);
  }
  need(LGBM_DatasetCreateFromMat(data, C_API_DTYPE_FLOAT64, ROWS, COLUMNS, 1, parameters, NULL, &set), "data");
  need(LGBM_DatasetSetField(set, "label", truth, ROWS, C_API_DTYPE_FLOAT32), "label");
  need(LGBM_BoosterCreate(set, parameters, &booster), "booster");
  for (int round = 0; round < 60 && !done; ++round) need(LGBM_BoosterUpdateOneIter(booster, &done), "train");
  need(LGBM_BoosterPredictForMat(booster, data, C_API_DTYPE_FLOAT64, ROWS, COLUMNS, 1, C_API_PREDICT_NORMAL,
                                 0, -1, parameters, &count, predicted), "predict");
  for (int row = 0; row < ROWS; ++row) {
    error += fabs(predicted[row] - truth[row]) / ROWS;
    spread += fabs(truth[row]) / ROWS;
  }
  printf("%d predictions, mean error %.4f of %.4f\n", (int)count, error, spread);
  need(LGBM_BoosterFree(booster), "free");
  need(LGBM_DatasetFree(set), "free");
  return count == ROWS && error < spread / 10 ? 0 : 1;
}
